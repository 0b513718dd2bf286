//! Zero configuration: a `backstay.toml` written from the provider keys in the
//! environment, and read like any other. Owns which variables are looked for
//! and which routes follow; must not know sockets: whether a local Ollama is
//! there, the caller says.
//!
//! Reading order: [`found`] (what the environment has), `routes` (which models
//! can be asked for, and where), `text` (that as TOML), [`setup`] (what is said
//! about it).

pub mod found;
mod routes;
pub mod setup;
mod text;

use std::path::Path;

use super::load::parse;
use super::model::Config;
use super::problem::Problems;
use super::reader::Environment;
use found::{Found, Ollama};
use setup::SetUp;

/// Where messages say a problem is. The text is in no file.
const SOURCE: &str = "(environment)";

/// Why nothing could be set up. The operator can mend it.
#[derive(Debug, thiserror::Error)]
pub enum NoSetUp {
    #[error("{}", setup::nothing_found(.0))]
    NothingFound(Found),
    /// A variable has a value that cannot be used.
    #[error(transparent)]
    Unusable(#[from] Problems),
}

/// A configuration from the keys in the environment; its source is no file.
pub fn from_environment(
    env: Environment<'_>,
    ollama: Option<&Ollama>,
) -> Result<(Config, SetUp), NoSetUp> {
    let found = Found::look(env, ollama);
    let routes = routes::routes(&found);
    if routes.is_empty() {
        return Err(NoSetUp::NothingFound(found));
    }
    let text = text::text(&found, &routes);
    let config = parse(&text, Path::new(SOURCE), env)?;
    let config = Config { names_by_catalog: true, ..config };
    Ok((config, SetUp { found, routes, text }))
}

/// The text of the configuration that `from_environment` would read.
#[must_use]
pub fn generated(found: &Found) -> String {
    text::text(found, &routes::routes(found))
}

#[cfg(test)]
mod tests;
