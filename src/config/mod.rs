//! The configuration, `backstay.toml`: as written → as meant, or every problem
//! with its place and its remedy.
//!
//! Owns the file's shape, its defaults and its messages; the watch that reads
//! it again when it changes; the one that is set up without a file ([`zero`]);
//! and the text of `backstay check`. Must not know
//! running state, sockets or wasmtime: whether a policy of a given name exists
//! is the policy library's knowledge.
//!
//! Reading order: [`model`] (what comes out), `load` (the walk), `sections`,
//! `rules`, `providers`, `routes`, `canary`, `parameters` (one table each), `secrets`,
//! `values`, `address`, `json` (what single values mean), `reader` (the spanned
//! tree), `source` and [`problem`] (messages); `rehearsal` is what scenarios of
//! the simulator share.

mod address;
mod canary;
pub mod check;
pub(crate) mod json;
mod load;
pub mod model;
mod parameters;
pub mod problem;
mod providers;
pub(crate) mod reader;
pub(crate) mod rehearsal;
mod routes;
mod rules;
mod secrets;
mod sections;
mod source;
pub(crate) mod values;
pub mod watch;
pub mod zero;

use std::ffi::OsString;

pub use load::{load, load_admin, load_policies, parse};
pub use model::{
    Admin, Cache, Canary, Client, Config, Journal, Policies, PolicyLimits, Provider, Route, Server,
    Target,
};
pub use problem::{Problem, Problems, Severity};
pub use reader::Environment;
pub use watch::{Watch, watch};
pub use zero::found::{Found, Ollama, ollama_url};
pub use zero::setup::SetUp;
pub use zero::{NoSetUp, from_environment, generated};

/// What `backstay init` writes: a configuration that explains itself.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The process's own environment, for [`load`] and [`watch`].
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
