//! What the gateway takes out of a client's request: what routing needs, and
//! the bytes, which go on as they came.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::dialect::request::splice;
use crate::dialect::{BadRequest, Continuation, Dialect, Peek, edit};
use crate::failover::consult::Edit;
use crate::failover::{Features, Operation};
use crate::policy::RequestView;
use crate::upstream::Expect;

/// One client request, read as far as the gateway must.
#[derive(Debug)]
pub struct Inquiry {
    pub dialect: Dialect,
    pub operation: Operation,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub peek: Peek,
    /// The client's name in the configuration.
    pub tenant: Option<String>,
}

/// How an attempt's request differs from the client's.
#[derive(Debug)]
pub struct Change<'a> {
    pub model: &'a str,
    /// The text the client already has, when the attempt continues it, and
    /// how the target is asked to.
    pub continues: Option<(&'a str, Continuation)>,
    pub edits: &'a [Edit],
}

impl Inquiry {
    /// The body one target is sent.
    pub fn body_for(&self, change: &Change<'_>) -> Result<Bytes, BadRequest> {
        let body = match change.continues {
            None => splice(&self.body, &self.peek.model_span, change.model),
            Some((partial, how)) => {
                self.dialect.continue_from(&self.body, &self.peek, change.model, partial, how)?
            }
        };
        if change.edits.is_empty() {
            return Ok(body);
        }
        edit::edit(&body, change.edits)
            .map_err(|e| BadRequest::new("policy_edit", None, e.to_string()))
    }

    #[must_use]
    pub fn expect(&self, unix_now: Duration) -> Expect {
        Expect {
            operation: self.operation,
            stream: self.streams(),
            choices: self.peek.choices,
            usage: self.peek.include_usage,
            unix_now,
        }
    }

    #[must_use]
    pub const fn streams(&self) -> bool {
        self.peek.needs.contains(Features::STREAMING)
    }
}

/// What a policy may read of the request.
#[derive(Debug)]
pub struct Shown(pub Arc<Inquiry>);

/// Headers that carry credentials: never shown to a policy.
const CREDENTIALS: [&str; 6] =
    ["authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization"];

impl RequestView for Shown {
    fn header(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        if CREDENTIALS.contains(&name.as_str()) {
            return None;
        }
        self.0.headers.get(&name)?.to_str().ok().map(str::to_owned)
    }

    fn json(&self, pointer: &str) -> Option<String> {
        edit::json_at(&self.0.body, pointer).map(str::to_owned)
    }
}
