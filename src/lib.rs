//! Backstay: an LLM failover gateway.

pub mod failover;
pub mod secret;
