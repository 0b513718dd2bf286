//! The contract as the host sees it, generated from `wit/failover-policy.wit`.

/// Stands for the one request of a call: a policy never holds another.
#[derive(Clone, Copy, Debug)]
pub struct RequestHandle;

/// Stands for the one answer of a call.
#[derive(Clone, Copy, Debug)]
pub struct OutputHandle;

mod generated {
    wasmtime::component::bindgen!({
        world: "policy",
        path: "wit",
        ownership: Borrowing { duplicate_if_necessary: false },
        with: {
            "backstay:policy/exchange.request": super::RequestHandle,
            "backstay:policy/exchange.output": super::OutputHandle,
        },
        imports: { default: trappable },
    });
}

pub use generated::backstay::policy::{exchange, host, types};
pub use generated::{Policy as Instance, PolicyPre as InstanceMaker};

/// The interface a policy must export.
pub const EXPORT: &str = "backstay:policy/failover-policy@0.1.0";
/// The package whose other interfaces a policy may import.
pub const PACKAGE: &str = "backstay:policy/";
