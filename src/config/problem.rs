//! What is wrong with a configuration, where, and what mends it; and how that
//! is printed. Knows nothing of what a configuration means.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// At most this many problems are kept and printed; the rest are counted.
pub(super) const MAX_PROBLEMS: usize = 100;

/// Whether a problem refuses the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// The configuration is used as written.
    Warning,
}

/// One thing that is wrong, with its place and its remedy.
///
/// No field ever holds a key: the source line is copied with secrets starred.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub severity: Severity,
    pub file: PathBuf,
    /// From 1; 0 if the problem is the file as a whole.
    pub line: usize,
    /// In characters, from 1; 0 if the problem is the file as a whole.
    pub column: usize,
    /// Bytes of the file's text.
    pub span: Range<usize>,
    /// The source line, or a window of a long one.
    pub excerpt: Option<Excerpt>,
    /// What is wrong.
    pub message: String,
    /// What to write or do instead.
    pub remedy: String,
}

/// A piece of a source line with a part of it to point at, in characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excerpt {
    pub text: String,
    pub mark: Range<usize>,
}

/// `backstay.toml:14:13: message`, the line, and carets with the remedy.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        let severity = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        writeln!(f, ": {severity}{}", self.message)?;
        let Some(excerpt) = &self.excerpt else {
            return writeln!(f, "  {}", self.remedy);
        };
        let number = self.line.to_string();
        writeln!(f, "  {number} | {}", excerpt.text)?;
        let gutter = number.len();
        let indent = excerpt.mark.start;
        let carets = "^".repeat(excerpt.mark.len().max(1));
        writeln!(f, "  {:gutter$} | {:indent$}{carets} {}", "", "", self.remedy)
    }
}

/// All that is wrong with a configuration, in the order of the file.
///
/// Bounded: the first hundred are kept, the others are only counted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Problems {
    pub list: Vec<Problem>,
    /// Problems found but not kept.
    pub left_off: usize,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            write!(f, "{problem}")?;
        }
        if self.left_off > 0 {
            writeln!(f, "… and {} more", self.left_off)?;
        }
        Ok(())
    }
}
