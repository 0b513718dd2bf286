//! The WebAssembly host: runs policies in a sandbox and keeps them up to date.
//!
//! It owns the engine, the limits, hot reload, and the record of faults. It
//! must not know HTTP, routes or health bookkeeping, nor which policy is
//! current for a route: it is asked a question and gives an opinion.

mod bindings;
pub mod compile;
mod contract;
mod convert;
mod engine;
mod faults;
mod handle;
pub mod inspect;
mod library;
mod limits;
mod load;
mod loading;
mod notes;
mod panel;
mod pool;
mod program;
mod sandbox;
mod scan;
mod shelf;
mod status;
mod trial;
mod wasi;
mod watch;

use std::sync::Arc;

use crate::failover::call::Call;
use crate::failover::time::Timestamp;

pub use compile::Compiler;
pub use contract::ours as contract_version;
pub use engine::Allocation;
pub use faults::{LastFault, PROVEN, Standing};
pub use handle::{Digest, Facts, Origin, Policy};
pub use library::{BUILT_IN, DEFAULT, Library, LibraryConfig, OpenFault, Snapshot};
pub use limits::Limits;
pub use load::{LoadFault, is_name, name_of};
pub use loading::read_whole;
pub use panel::{Decided, Panel, last_resort};
pub use program::{Interfaces, Measured};
pub use shelf::{PinFault, Pins, RollbackFault, Rolled};
pub use status::{Compiling, FileRefusal, PolicyState, PolicyStatus, Retry};

/// Where the host's own time comes from: cooldowns of faulty policies, and the
/// expiry of what policies remember.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a policy may read of the client's request. Credentials are never shown.
pub trait RequestView: Send + Sync {
    /// A header by name, in any case.
    fn header(&self, name: &str) -> Option<String>;
    /// The JSON value at a pointer (RFC 6901); the empty pointer is the body.
    fn json(&self, pointer: &str) -> Option<String>;
}

/// What a policy may read of an answer.
pub trait OutputView: Send + Sync {
    /// False for the part of a stream seen so far.
    fn complete(&self) -> bool;
    /// From a byte offset on, at most `limit` bytes, cut at a character boundary.
    fn text(&self, offset: u32, limit: u32) -> String;
    /// In bytes.
    fn text_length(&self) -> u32;
    fn tool_calls(&self) -> Vec<ToolCall>;
    fn finish(&self) -> Finish;
    /// Where the text breaks a JSON schema; an empty schema asks for any JSON.
    fn violations(&self, schema: &str) -> Vec<String>;
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolCall {
    pub name: String,
    /// JSON, as the model wrote it: possibly broken.
    pub arguments: String,
}

/// Why the model stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    Refusal,
    Other,
    /// It has not stopped yet, or did not say why.
    Unfinished,
}

/// What a question is about, beside what the question itself says. Cheap to
/// clone: the same for all questions of a call, but for the answer.
#[derive(Clone)]
pub struct Material {
    pub call: Arc<Call>,
    /// The route that matched.
    pub route: Arc<str>,
    /// The route's `policy_settings`, as JSON.
    pub settings: Arc<str>,
    pub request: Arc<dyn RequestView>,
    /// The answer to be validated.
    pub output: Option<Arc<dyn OutputView>>,
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Material").field("route", &self.route).finish_non_exhaustive()
    }
}
