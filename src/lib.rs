//! Backstay: an LLM failover gateway.

pub mod config;
pub mod dialect;
pub mod failover;
pub mod fake;
pub mod policy;
pub mod secret;
