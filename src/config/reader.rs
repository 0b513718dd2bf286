//! Walks the spanned tree of a configuration and collects every problem on the
//! way. Reading never stops at a problem: the caller gets `None` or a default
//! and goes on, so that all problems are reported at once.
//!
//! Knows TOML and problems, not what any key means. The keys a table was asked
//! for are the keys it knows: there is no second list to keep in step.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

use super::problem::{MAX_PROBLEMS, Problem, Problems, Severity};
use super::source::{Source, Span};
use super::values::{Fault, quoted, wrong_type};

/// Where environment variables are looked up.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What every part of the walk shares.
pub(crate) struct Reader<'a> {
    pub source: &'a Source<'a>,
    pub env: Environment<'a>,
    /// The configuration's directory, which relative paths begin from.
    pub directory: PathBuf,
    /// Digest of everything the result depends on: the text and the secrets.
    pub inputs: RefCell<Sha256>,
    problems: RefCell<Vec<Problem>>,
    left_off: RefCell<usize>,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a Source<'a>, file: &Path, env: Environment<'a>) -> Self {
        let mut inputs = Sha256::new();
        inputs.update(source.text);
        Self {
            source,
            env,
            directory: file.parent().map(Path::to_path_buf).unwrap_or_default(),
            inputs: RefCell::new(inputs),
            problems: RefCell::default(),
            left_off: RefCell::default(),
        }
    }

    pub fn error(&self, span: Span, message: impl Into<String>, remedy: impl Into<String>) {
        self.report(Severity::Error, span, message.into(), remedy.into());
    }

    pub fn warning(&self, span: Span, message: impl Into<String>, remedy: impl Into<String>) {
        self.report(Severity::Warning, span, message.into(), remedy.into());
    }

    fn report(&self, severity: Severity, span: Span, message: String, remedy: String) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MAX_PROBLEMS {
            problems.push(self.source.problem(severity, span, message, remedy));
        } else {
            *self.left_off.borrow_mut() += 1;
        }
    }

    /// The problems if one of them is an error, else the warnings.
    pub fn verdict(&self) -> Result<Vec<Problem>, Problems> {
        let mut list = self.problems.take();
        let left_off = self.left_off.take();
        list.sort_by_key(|problem| problem.span.start);
        let refused = list.iter().any(|problem| problem.severity == Severity::Error);
        if refused || left_off > 0 { Err(Problems { list, left_off }) } else { Ok(list) }
    }
}

/// A value and where it is written.
#[derive(Clone, Debug)]
pub(crate) struct Found<T> {
    pub value: T,
    pub span: Span,
}

/// A table being read. Every key is asked for, then `finish` reports the rest.
pub(crate) struct Table<'a> {
    pub reader: &'a Reader<'a>,
    /// As it would be written in a header, without brackets.
    pub path: String,
    /// The header, or the whole of an inline table.
    pub span: Span,
    /// `None`: the table is not written, and everything has its default.
    entries: Option<&'a DeTable<'a>>,
    known: RefCell<Vec<&'static str>>,
    /// Keys whose value was refused: nothing may be concluded from them.
    refused: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The whole document.
    pub fn root(reader: &'a Reader<'a>, entries: &'a DeTable<'a>) -> Self {
        Self::new(reader, String::new(), 0..0, Some(entries))
    }

    fn new(
        reader: &'a Reader<'a>,
        path: String,
        span: Span,
        entries: Option<&'a DeTable<'a>>,
    ) -> Self {
        let (known, refused) = (RefCell::default(), RefCell::default());
        Self { reader, path, span, entries, known, refused }
    }

    /// The value of a key, if it is there and `parse` takes it.
    pub fn get<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&'a DeValue<'a>) -> Result<T, Fault>,
    ) -> Option<Found<T>> {
        let value = self.entry(key)?;
        match parse(value.get_ref()) {
            Ok(parsed) => Some(Found { value: parsed, span: value.span() }),
            Err(fault) => {
                self.refuse(key, value.span(), &fault);
                None
            }
        }
    }

    /// The value of a key, or a default.
    pub fn or<T>(
        &self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&'a DeValue<'a>) -> Result<T, Fault>,
    ) -> T {
        self.get(key, parse).map_or(default, |found| found.value)
    }

    /// The value of a key that must be there.
    pub fn required<T>(
        &self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&'a DeValue<'a>) -> Result<T, Fault>,
    ) -> Option<Found<T>> {
        if self.entry(key).is_none() {
            let message = format!("`{key}` is missing in {}", self.label());
            self.reader.error(self.span.clone(), message, format!("add `{key} = {example}`"));
        }
        self.get(key, parse)
    }

    /// Where the value of a key is written, if it is there and was not refused.
    pub fn span_of(&self, key: &'static str) -> Option<Span> {
        let usable = !self.refused.borrow().contains(&key);
        self.entries?.get(key).filter(|_| usable).map(toml::Spanned::span)
    }

    /// Whether a key is written at all.
    pub fn has(&self, key: &'static str) -> bool {
        self.entry(key).is_some()
    }

    /// A table below this one.
    pub fn table(&self, key: &'static str) -> Option<Table<'a>> {
        let value = self.entry(key)?;
        self.as_table(join(&self.path, key), value, key)
    }

    /// A table below this one; an empty one if it is not written.
    pub fn section(&self, key: &'static str) -> Table<'a> {
        let absent = || Table::new(self.reader, join(&self.path, key), self.span.clone(), None);
        self.table(key).unwrap_or_else(absent)
    }

    /// A table of tables whose names the operator chooses, in the file's order.
    pub fn named_tables(&self, key: &'static str) -> Vec<(Found<&'a str>, Table<'a>)> {
        let Some(outer) = self.table(key) else { return Vec::new() };
        let mut tables = Vec::new();
        for (name, value) in outer.entries.into_iter().flatten() {
            let found = Found { value: name.get_ref().as_ref(), span: name.span() };
            let path = join(&outer.path, found.value);
            tables.extend(self.as_table(path, value, found.value).map(|table| (found, table)));
        }
        tables.sort_by_key(|(name, _)| name.span.start);
        tables
    }

    /// A list of tables.
    pub fn list_of_tables(&self, key: &'static str) -> Option<Found<Vec<Table<'a>>>> {
        let value = self.entry(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            let fault = wrong_type(value.get_ref(), "a list of tables", "[{ … }]");
            self.refuse(key, value.span(), &fault);
            return None;
        };
        let path = join(&self.path, key);
        let tables = items.iter().filter_map(|item| self.as_table(path.clone(), item, key));
        Some(Found { value: tables.collect(), span: value.span() })
    }

    /// The entries of a table whose keys the operator chooses.
    pub fn entries(
        &self,
    ) -> impl Iterator<Item = (Found<&'a str>, &'a toml::Spanned<DeValue<'a>>)> {
        self.entries.into_iter().flatten().map(|(name, value)| {
            (Found { value: name.get_ref().as_ref(), span: name.span() }, value)
        })
    }

    /// Refuses a key that has its place elsewhere.
    pub fn belongs_elsewhere(&self, key: &'static str, place: &str) {
        if let Some((written, _)) = self.entries.and_then(|entries| entries.get_key_value(key)) {
            self.refused.borrow_mut().push(key);
            let message = format!("`{key}` has no place in {}", self.label());
            self.reader.error(written.span(), message, format!("write it in {place}"));
        }
    }

    /// Reports the keys nobody asked for.
    pub fn finish(&self) {
        let (known, refused) = (self.known.borrow(), self.refused.borrow());
        for (key, _) in self.entries() {
            let name = key.value;
            if !known.contains(&name) && !refused.contains(&name) {
                let message = format!("{} is no setting of {}", quoted('`', name), self.label());
                self.reader.error(key.span, message, suggestion(name, &known));
            }
        }
    }

    /// The table as messages name it.
    pub fn label(&self) -> String {
        if self.path.is_empty() { "the file".to_owned() } else { format!("[{}]", self.path) }
    }

    fn entry(&self, key: &'static str) -> Option<&'a toml::Spanned<DeValue<'a>>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.entries?.get(key)
    }

    fn refuse(&self, key: &'static str, span: Span, fault: &Fault) {
        self.refused.borrow_mut().push(key);
        self.reader.error(span, format!("`{key}` {}", fault.message), fault.remedy.clone());
    }

    fn as_table(
        &self,
        path: String,
        value: &'a toml::Spanned<DeValue<'a>>,
        name: &str,
    ) -> Option<Table<'a>> {
        if let DeValue::Table(entries) = value.get_ref() {
            return Some(Table::new(self.reader, path, value.span(), Some(entries)));
        }
        let fault = wrong_type(value.get_ref(), "a table", &format!("[{path}]"));
        let message = format!("{} {}", quoted('`', name), fault.message);
        self.reader.error(value.span(), message, fault.remedy);
        None
    }
}

/// A path with one more key, quoted where TOML needs it.
fn join(path: &str, key: &str) -> String {
    let bare =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let key = if bare { key.to_owned() } else { quoted('"', key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// The known name that was probably meant, or all of them.
pub(crate) fn suggestion(written: &str, known: &[&str]) -> String {
    /// Under this share of equal letters, a suggestion misleads.
    const ALIKE: f64 = 0.55;
    /// Nobody mistypes a name of this length; comparing it costs its square.
    const LONGEST: usize = 64;
    let nearest = known
        .iter()
        .filter(|_| written.len() <= LONGEST)
        .map(|name| (strsim::normalized_damerau_levenshtein(written, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((alike, name)) if alike >= ALIKE => format!("did you mean `{name}`?"),
        Some(_) | None if known.is_empty() => "nothing can be written here".to_owned(),
        Some(_) | None => format!("known here: {}", known.join(", ")),
    }
}
