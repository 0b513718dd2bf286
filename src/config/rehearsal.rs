//! What a scenario of the simulator has in common with a configuration: the
//! reader, `[rules]`, and routes with their targets, which mean here what they
//! mean there. Its providers are made up and have no address.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::load::{read_text, syntax_problems};
use super::model::{Provider, Route};
use super::problem::{Problem, Problems};
use super::reader::{Found, Reader, Table};
use super::source::Source;
use super::{providers, routes, rules, sections, values};
use crate::dialect::{ProviderDialect, Quirks, Site};

pub(crate) use super::providers::Declared;
pub(crate) use super::rules::Defaults;

/// The text of a scenario file.
pub(crate) fn text_of(path: &Path) -> Result<String, Problems> {
    read_text(path).map_err(|mut problems| {
        for problem in &mut problems.list {
            "name a scenario file; `backstay simulate --example` prints one"
                .clone_into(&mut problem.remedy);
        }
        problems
    })
}

/// Walks through a text as if it stood at `path`; what the walk makes of it,
/// with the warnings, or every problem.
pub(crate) fn read<T>(
    text: &str,
    path: &Path,
    walk: impl FnOnce(&Table<'_>) -> T,
) -> Result<(T, Vec<Problem>), Problems> {
    let mut source = Source::new(text, path);
    let (root, faults) = DeTable::parse_recoverable(text);
    if !faults.is_empty() {
        return Err(syntax_problems(&mut source, &faults));
    }
    let root = root.into_inner();
    let no_environment = |_: &str| None;
    let reader = Reader::new(&source, path, &no_environment);
    let read = walk(&Table::root(&reader, &root));
    let warnings = reader.verdict()?;
    Ok((read, warnings))
}

/// `[rules]` of the file.
pub(crate) fn defaults(root: &Table<'_>) -> Defaults {
    rules::defaults(&root.section("rules"))
}

/// A made-up provider: its table may hold `rules`, like a real one's.
pub(crate) fn provider(table: &Table<'_>, name: &Found<&str>, defaults: &Defaults) -> Declared {
    sections::check_name(table, name, values::plain_name);
    let rules = rules::of_provider(table, defaults);
    let provider = Provider {
        name: name.value.to_owned(),
        site: Site {
            dialect: ProviderDialect::OpenAi,
            base_url: format!("http://{}.invalid", name.value),
            api_version: None,
            responses: false,
        },
        quirks: Quirks::NONE,
        api_key: None,
        connect_timeout: defaults.connect_timeout,
        headers: Vec::new(),
    };
    Declared { provider: Some(Arc::new(provider)), rules }
}

/// `[routes."MODEL"]`, as in a configuration.
pub(crate) fn routes(
    root: &Table<'_>,
    defaults: &Defaults,
    providers: &BTreeMap<String, providers::Declared>,
) -> BTreeMap<String, Arc<Route>> {
    routes::routes(root, defaults, providers)
}
