//! The built-in policy: which target is tried, what a failure means, and
//! whether an answer may be delivered, when no other policy says otherwise.
//!
//! `decide` holds the decisions, as plain functions that are tested natively.
//! What is left here is the component around them. It uses no standard library
//! and so imports nothing but the contract: it has no need of WASI, and an
//! instance is set up as quickly as can be.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

pub mod decide;

/// The contract, as generated from `wit/failover-policy.wit`. The types are
/// ordinary ones on every target; the functions work inside a component only.
pub mod contract {
    wit_bindgen::generate!({
        world: "policy",
        path: "../../wit",
        pub_export_macro: true,
        additional_derives: [Clone, PartialEq],
    });
}

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
mod memory;
