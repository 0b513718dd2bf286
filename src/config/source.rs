//! The text of a configuration: where a byte is, what its line looks like, and
//! which parts of it must never be shown.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::problem::{Excerpt, Problem, Severity};

/// Bytes of the text.
pub(crate) type Span = Range<usize>;

/// A line longer than this many characters is shown in part.
const EXCERPT_CHARS: usize = 160;
/// Characters shown before the mark of a line that is shown in part.
const EXCERPT_LEAD: usize = 40;

/// A key whose last word is one of these holds something not to be shown.
const SECRET_WORDS: [&str; 8] =
    ["key", "apikey", "token", "secret", "password", "credential", "authorization", "bearer"];

/// The text and what is needed to point into it.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub text: &'a str,
    file: PathBuf,
    line_starts: Vec<usize>,
    hidden: Vec<Span>,
}

impl<'a> Source<'a> {
    pub fn new(text: &'a str, file: &Path) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_newlines).collect();
        Self { text, file: file.to_owned(), line_starts, hidden: Vec::new() }
    }

    /// Finds the secrets of a parsed document, so that no excerpt shows them.
    pub fn hide_secrets(&mut self, root: &DeTable<'_>) {
        hide_in_table(root, false, &mut self.hidden);
    }

    /// Without a tree there is no telling what is a secret: whatever follows a
    /// word on a line that may announce one is hidden.
    pub fn hide_suspicious_lines(&mut self) {
        let mut in_headers = false;
        for (index, &start) in self.line_starts.iter().enumerate() {
            let line = self.line(index);
            let header = line.trim_start().starts_with('[');
            let value_of_header = in_headers && !header;
            if header {
                in_headers = line.contains("headers");
            }
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            let announces = |one: &str| {
                is_secret_name(one) || one == "headers" || (value_of_header && !one.is_empty())
            };
            let mut ends = line.split_inclusive(|c| !word(c)).scan(0, |at, one| {
                *at += one.len();
                Some((*at, one.trim_end_matches(|c| !word(c))))
            });
            let after = ends.find(|(_, one)| announces(one)).map(|(end, _)| end);
            // An address with credentials, as in `https://user:password@host`.
            let address = line.contains('@').then(|| line.find('=').unwrap_or(0));
            if let Some(from) = after.into_iter().chain(address).min() {
                self.hidden.push(start + from..start + line.len());
            }
        }
    }

    /// The line (from 1) of a byte.
    pub fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= at).max(1)
    }

    /// A problem at a place of the text.
    pub fn problem(
        &self,
        severity: Severity,
        span: Span,
        message: String,
        remedy: String,
    ) -> Problem {
        let line = self.line_of(span.start);
        let line_start = self.line_starts[line - 1];
        let shown = self.line(line - 1);
        let start = self.chars_between(line_start, span.start);
        let end = self.chars_between(line_start, span.end.min(line_start + shown.len()));
        let excerpt = self.excerpt(line_start, shown, start..end.max(start));
        Problem {
            severity,
            file: self.file.clone(),
            line,
            column: start + 1,
            span,
            excerpt: Some(excerpt),
            message,
            remedy,
        }
    }

    /// A line (from 0) without its end.
    fn line(&self, index: usize) -> &'a str {
        let start = self.line_starts[index];
        let end = self.line_starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    fn chars_between(&self, start: usize, end: usize) -> usize {
        let start = self.text.floor_char_boundary(start);
        let end = self.text.floor_char_boundary(end).max(start);
        self.text[start..end].chars().count()
    }

    /// The part of a line around a mark (in characters), with hidden
    /// characters starred and control characters blanked, one for one.
    fn excerpt(&self, line_start: usize, line: &str, mark: Range<usize>) -> Excerpt {
        let length = line.chars().count();
        let whole = length <= EXCERPT_CHARS;
        let from = if whole { 0 } else { mark.start.saturating_sub(EXCERPT_LEAD) };
        let to = length.min(from + EXCERPT_CHARS);
        let mut text = String::from(if from > 0 { "…" } else { "" });
        let shown = line.char_indices().skip(from).take(to - from);
        text.extend(shown.map(|(offset, c)| self.visible(line_start + offset, c)));
        text.push_str(if to < length { "…" } else { "" });
        let shift = from - usize::from(from > 0);
        Excerpt { text, mark: mark.start - shift..mark.end.min(to) - shift }
    }

    fn visible(&self, at: usize, c: char) -> char {
        match c {
            '"' | '\'' | ' ' | '=' => c,
            _ if self.hidden.iter().any(|span| span.contains(&at)) => '*',
            _ if c.is_control() => ' ',
            _ => c,
        }
    }
}

fn hide_in_table(table: &DeTable<'_>, all: bool, hidden: &mut Vec<Span>) {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let hide = match value.get_ref() {
            // A pasted key where the name of a variable belongs.
            DeValue::String(text) if name == "env" => !is_variable_name(text),
            DeValue::String(_) if name == "file" => false,
            DeValue::String(text) => all || is_secret_name(name) || text.contains('@'),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => false,
            DeValue::Array(_) | DeValue::Table(_) => {
                all || name == "headers" || is_secret_name(name)
            }
        };
        hide_in_value(value, hide, hidden);
    }
}

fn hide_in_value(value: &toml::Spanned<DeValue<'_>>, hide: bool, hidden: &mut Vec<Span>) {
    match value.get_ref() {
        DeValue::String(_) if hide => hidden.push(value.span()),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
        DeValue::Array(items) => items.iter().for_each(|item| hide_in_value(item, hide, hidden)),
        DeValue::Table(table) => hide_in_table(table, hide, hidden),
    }
}

fn is_secret_name(name: &str) -> bool {
    let last = name.rsplit(['_', '-']).next().unwrap_or(name);
    SECRET_WORDS.contains(&last.to_ascii_lowercase().as_str())
}

/// Letters, digits and underscores, not beginning with a digit.
pub(super) fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
