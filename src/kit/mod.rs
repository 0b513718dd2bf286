//! The kit for those who write policies: it starts one from a template in any
//! of the languages, and builds one with the tools of its language.
//!
//! It owns what the templates are, which tools a language takes and what to do
//! when one is missing. It must not know the gateway, routes or what a policy
//! decides: whether a built component is any good, the loader says.

mod build;
mod component;
mod language;
mod template;
mod tools;

pub use build::{BuildFault, Built, COMPONENT, build, describe, install};
pub use language::{Language, LanguageFault};
pub use template::{NewFault, create};
