//! What the gateway takes out of a client's request, and the request that each
//! target is sent: the client's bytes where the target speaks the client's
//! dialect, a translation where it does not.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::generation::LiveTarget;
use crate::dialect::hub::{Embeddings, Losses, Strictness, Untranslatable};
use crate::dialect::request::{Task, splice};
use crate::dialect::translate::{Original, Refused, task_there, translate};
use crate::dialect::{
    Address, Continuation, Dialect, Framing, Head, Peek, Target, edit, gemini, headers, openai,
};
use crate::failover::Features;
use crate::policy::RequestView;
use crate::secret::CREDENTIAL_HEADERS;
use crate::upstream::{Asked, Expect, Form};

/// One client request, read as far as the gateway must.
#[derive(Debug)]
pub struct Inquiry {
    pub dialect: Dialect,
    pub task: Task,
    pub address: Address,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub peek: Peek,
    /// The client's name in the configuration.
    pub tenant: Option<String>,
}

/// How an attempt's request differs from the client's.
#[derive(Debug)]
pub struct Change<'a> {
    pub target: &'a LiveTarget,
    pub model: &'a str,
    pub strictness: Strictness,
    /// The text the client already has, when the attempt continues it, and
    /// how the target is asked to.
    pub continues: Option<(&'a str, Continuation)>,
    /// No other provider was asked before.
    pub first_provider: bool,
    pub unix_now: Duration,
}

/// A request, ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    pub body: Bytes,
    pub headers: HeaderMap,
    pub expect: Expect,
    /// The client's fields that this target was not sent.
    pub dropped: Vec<String>,
}

impl Inquiry {
    /// The request one target is sent.
    pub fn prepare(&self, change: &Change<'_>) -> Result<Prepared, Refused> {
        let asked = self.asked(change)?;
        let (body, mut dropped, form) = if asked.wire == self.dialect {
            let (body, dropped) = self.adapted(change)?;
            let form = if change.continues.is_some() { Form::Events } else { Form::Bytes };
            (body, dropped, form)
        } else {
            let written = self.translated(asked.wire, change)?;
            (written.body, written.dropped, Form::Translated(written.legend))
        };
        let LiveTarget { system, parameters, .. } = change.target;
        let body = match system {
            Some(template) if asked.task == Task::Generate => {
                asked.wire.with_system(&body, template)
            }
            Some(_) | None => body,
        };
        let body = edit::set_all(body, parameters);
        dropped.dedup();
        let keep_key = change.first_provider && change.continues.is_none();
        let way = (self.dialect, asked.wire);
        Ok(Prepared {
            body,
            headers: headers::forward_request_headers(&self.headers, way, keep_key),
            expect: Expect { asked, choices: self.peek.choices, form, unix_now: change.unix_now },
            dropped,
        })
    }

    /// What is asked of the target, if it has it.
    fn asked(&self, change: &Change<'_>) -> Result<Asked, Untranslatable> {
        let endpoint = &change.target.endpoint;
        let wire = endpoint.wire(self.dialect);
        let asked = task_there(self.dialect, self.task, wire).map(|task| Asked {
            wire,
            task,
            stream: self.streams(),
        });
        asked.filter(|asked| endpoint.has(*asked)).ok_or_else(|| {
            let reason = format!("dialect {} has no {}", wire.label(), self.task.label());
            Untranslatable::new(self.task.label(), reason)
        })
    }

    /// The client's own body, as this target of the same dialect needs it.
    fn adapted(&self, change: &Change<'_>) -> Result<(Bytes, Vec<String>), Refused> {
        let body = match change.continues {
            None => splice(&self.body, self.peek.model_span.as_ref(), change.model),
            Some((partial, how)) => {
                self.dialect.continue_from(&self.body, &self.peek, change.model, partial, how)?
            }
        };
        let body = self.dialect.adopt(&body, change.model, &change.target.abilities);
        let quirks = change.target.endpoint.quirks();
        if self.dialect != Dialect::OpenAi || self.task != Task::Generate || quirks.is_empty() {
            return Ok((body, Vec::new()));
        }
        let (body, dropped) = openai::quirks::adapt(&body, quirks);
        let mut losses = Losses::new(change.strictness);
        for field in dropped {
            losses.tuning(field)?;
        }
        Ok((body, losses.into_dropped()))
    }

    fn translated(
        &self,
        wire: Dialect,
        change: &Change<'_>,
    ) -> Result<crate::dialect::Written, Refused> {
        let original = Original {
            client: self.dialect,
            task: self.task,
            body: &utf8(&self.body),
            address: &self.address,
            continues: change.continues,
        };
        let target = Target {
            model: change.model,
            abilities: &change.target.abilities,
            quirks: change.target.endpoint.quirks(),
            strictness: change.strictness,
        };
        translate(original, wire, &target)
    }

    /// Whether the client waits for a stream.
    #[must_use]
    pub const fn streams(&self) -> bool {
        self.peek.needs.contains(Features::STREAMING)
    }

    /// What an answer says of itself where the provider does not.
    #[must_use]
    pub fn head(&self, id: &str, created: Duration) -> Head {
        Head {
            id: id.to_owned(),
            model: self.peek.model.clone(),
            created: created.as_secs(),
            include_usage: self.peek.include_usage,
            framing: self.address.framing,
        }
    }

    /// The content type of a stream to the client.
    #[must_use]
    pub const fn stream_type(&self) -> &'static str {
        match self.address.framing {
            Framing::Sse => "text/event-stream",
            Framing::Array => "application/json",
        }
    }

    /// Vectors of another dialect's provider, as the client expects them.
    #[must_use]
    pub fn write_embeddings(&self, mut embeddings: Embeddings) -> Bytes {
        if embeddings.model.is_empty() {
            embeddings.model.clone_from(&self.peek.model);
        }
        let body = utf8(&self.body);
        match self.dialect {
            Dialect::Gemini => gemini::write_vectors(&embeddings, self.task == Task::EmbedBatch),
            Dialect::OpenAi | Dialect::Responses | Dialect::Anthropic => {
                let base64 = openai::read_embed(&body).is_ok_and(|request| request.base64);
                openai::write_vectors(&embeddings, base64)
            }
        }
    }
}

/// A body that passed the peek is UTF-8.
fn utf8(body: &Bytes) -> Cow<'_, str> {
    String::from_utf8_lossy(body)
}

/// What a policy may read of the request.
#[derive(Debug)]
pub struct Shown(pub Arc<Inquiry>);

impl RequestView for Shown {
    fn header(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        if CREDENTIAL_HEADERS.contains(&name.as_str()) {
            return None;
        }
        self.0.headers.get(&name)?.to_str().ok().map(str::to_owned)
    }

    fn json(&self, pointer: &str) -> Option<String> {
        edit::json_at(&self.0.body, pointer).map(str::to_owned)
    }
}
