//! Backstay: an LLM failover gateway whose every decision is made by a
//! sandboxed WebAssembly policy.
//!
//! In reading order:
//!
//! - [`failover`]: the heart. Which attempt, when, how long, when to stop. Pure.
//! - [`policy`]: the WebAssembly host: engine, sandbox, limits, hot reload.
//! - [`config`]: `backstay.toml`, as written and as meant.
//! - [`dialect`]: what clients and providers speak, as functions over bytes.
//! - [`upstream`]: one attempt at one target.
//! - [`gateway`]: the server, the live driver, the relay to the client.
//! - [`journal`]: what was decided and on what facts, kept in files, and asked again.
//! - [`sim`]: the simulated driver: scripted providers on a virtual clock.
//! - [`admin`]: what is seen from outside.
//! - [`fake`]: a provider that breaks on purpose.
//! - [`kit`]: starting and building policies in any language.
//! - [`cli`]: the verbs of the command line.
//!
//! [`clock`], [`pointer`], [`schema`], [`secret`], [`telemetry`] and [`tls`] each own
//! one small thing.

pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dialect;
pub mod failover;
pub mod fake;
pub mod gateway;
pub mod journal;
pub mod kit;
pub mod pointer;
pub mod policy;
pub mod schema;
pub mod secret;
pub mod sim;
pub mod telemetry;
pub mod tls;
pub mod upstream;
