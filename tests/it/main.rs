//! The integration tests: one binary, one module per area.

mod architecture;
mod config;
mod demo;
mod dependencies;
mod dialects;
mod fake;
mod faults;
mod faults_alone;
mod gateway_admin;
mod gateway_bytes;
mod gateway_door;
mod gateway_drain;
mod gateway_policies;
mod gateway_rules;
mod gateway_swaps;
mod policy_builtin;
mod policy_decisions;
mod policy_faults;
mod policy_panel;
mod policy_reload;
mod streams;
mod support;
mod translation;
mod zero;
