//! The configuration, `backstay.toml`: as written → as meant, or every problem
//! with its place and its remedy.
//!
//! Owns the file's shape, its defaults and its messages; the watch that reads
//! it again when it changes; and the text of `backstay check`. Must not know
//! running state, sockets or wasmtime: whether a policy of a given name exists
//! is the policy library's knowledge.
//!
//! Reading order: [`model`] (what comes out), `load` (the walk), `sections`,
//! `rules`, `providers`, `routes`, `parameters` (one table each), `secrets`,
//! `values`, `address`, `json` (what single values mean), `reader` (the spanned
//! tree), `source` and [`problem`] (messages).

mod address;
pub mod check;
mod json;
mod load;
pub mod model;
mod parameters;
pub mod problem;
mod providers;
mod reader;
mod routes;
mod rules;
mod secrets;
mod sections;
mod source;
mod values;
pub mod watch;

use std::ffi::OsString;

pub use load::{load, parse};
pub use model::{Admin, Client, Config, Policies, PolicyLimits, Provider, Route, Server, Target};
pub use problem::{Problem, Problems, Severity};
pub use reader::Environment;
pub use watch::{Watch, watch};

/// What `backstay init` writes: a configuration that explains itself.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The process's own environment, for [`load`] and [`watch`].
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
