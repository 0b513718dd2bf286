//! The integration tests: one binary, one module per area.

mod architecture;
mod config;
mod dependencies;
mod fake;
mod policy_builtin;
mod policy_decisions;
mod policy_faults;
mod policy_reload;
mod support;
