//! The closed set of dialects: which one names things how. Every difference
//! between dialects goes through here to the module of its dialect; nothing
//! else asks which dialect it is.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::behaviour::{Hint, RejectionKind};
use super::call::Call;
use super::error_body::{Blame, ErrorBody};
use super::stream::Voice;
use super::{anthropic, gemini, openai, responses};

/// The language of one request and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tongue {
    /// Chat Completions, Embeddings and the list of models.
    OpenAi,
    /// The same on Azure's paths, with its key header and its additions.
    Azure,
    Responses,
    Anthropic,
    Gemini,
}

impl Tongue {
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Azure => "azure",
            Self::Responses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// The header that carries the id of a request; empty if none does.
    pub fn id_header(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Responses => "x-request-id",
            Self::Azure => "apim-request-id",
            Self::Anthropic => "request-id",
            Self::Gemini => "",
        }
    }

    /// An error answer of this kind.
    pub fn rejection(self, kind: RejectionKind, blame: Blame<'_>) -> ErrorBody {
        match self {
            Self::OpenAi | Self::Responses => openai::errors::rejection(kind, blame),
            Self::Azure => openai::errors::azure_rejection(kind, blame),
            Self::Anthropic => anthropic::errors::rejection(kind, blame),
            Self::Gemini => gemini::errors::rejection(kind, blame),
        }
    }

    /// What fails any call at all: for errors that come with a 200.
    pub fn overloaded(self) -> ErrorBody {
        self.rejection(RejectionKind::Overloaded, Blame { model: "", key: "" })
    }

    /// The answer to a key that will not do.
    pub fn bad_key(self, model: &str) -> ErrorBody {
        match self {
            Self::OpenAi | Self::Azure | Self::Responses | Self::Anthropic => {
                self.rejection(RejectionKind::Unauthorized, Blame { model, key: "sk-***" })
            }
            Self::Gemini => gemini::errors::bad_key(),
        }
    }

    /// An error of the caller's making; `code` is shown where the dialect has codes.
    pub fn invalid(self, status: u16, code: &str, message: &str) -> ErrorBody {
        match self {
            Self::OpenAi | Self::Azure | Self::Responses => {
                openai::errors::invalid_request(status, code, message)
            }
            Self::Anthropic => anthropic::errors::invalid(status, message),
            Self::Gemini => gemini::errors::invalid(status, message),
        }
    }

    /// The answer to an assistant's turn at the end where that is not taken.
    pub fn prefill_unsupported(self) -> ErrorBody {
        let message = match self {
            Self::OpenAi | Self::Azure | Self::Responses => {
                "This model does not support prefill: the last message must not be an assistant \
                 message. Prefill is not supported."
            }
            Self::Anthropic => {
                "This model does not support assistant message prefill. The conversation must \
                 end with a user message."
            }
            Self::Gemini => {
                "Please ensure that multiturn requests end with a user role or a function \
                 response."
            }
        };
        self.invalid(400, "unsupported_value", message)
    }

    /// Says when to come back: in headers, or in the body.
    pub fn hint(
        self,
        hint: &Hint,
        now: SystemTime,
        json: &mut Value,
    ) -> Vec<(&'static str, String)> {
        match self {
            Self::OpenAi | Self::Azure | Self::Responses => plain_hint(hint, now),
            Self::Anthropic => anthropic::errors::hint(hint, now),
            Self::Gemini => {
                gemini::errors::hint(hint, json);
                Vec::new()
            }
        }
    }

    /// Puts the id of the request into an error where the dialect has it there.
    pub fn sign(self, json: &mut Value, request_id: &str) {
        match self {
            Self::Anthropic => anthropic::errors::sign(json, request_id),
            Self::OpenAi | Self::Azure | Self::Responses | Self::Gemini => {}
        }
    }

    pub fn put_whole(self, out: &mut Vec<u8>, call: &Call<'_>) {
        match self {
            Self::OpenAi | Self::Azure => openai::answer::put_whole(out, call),
            Self::Responses => responses::answer::put_whole(out, call),
            Self::Anthropic => anthropic::answer::put_whole(out, call),
            Self::Gemini => gemini::answer::put_whole(out, call),
        }
    }

    pub fn put_models(self, out: &mut Vec<u8>, provider: &str) {
        match self {
            Self::OpenAi | Self::Azure | Self::Responses => {
                openai::small::put_models(out, provider);
            }
            Self::Anthropic => anthropic::answer::put_models(out, provider),
            Self::Gemini => gemini::small::put_models(out, provider),
        }
    }

    /// The answer to a question for the number of its tokens.
    pub fn put_count(self, out: &mut Vec<u8>, tokens: usize) {
        match self {
            Self::OpenAi | Self::Azure | Self::Responses => {
                responses::answer::put_count(out, tokens);
            }
            Self::Anthropic => anthropic::answer::put_count(out, tokens),
            Self::Gemini => gemini::small::put_count(out, tokens),
        }
    }

    /// What tells a streamed answer.
    pub fn voice<'a>(self, call: &'a Call<'a>) -> Box<dyn Voice + 'a> {
        match self {
            Self::OpenAi => Box::new(openai::stream::Chunks::new(call, false)),
            Self::Azure => Box::new(openai::stream::Chunks::new(call, true)),
            Self::Responses => Box::new(responses::stream::Events::new(call)),
            Self::Anthropic => Box::new(anthropic::stream::Blocks::new(call)),
            Self::Gemini => Box::new(gemini::stream::Snapshots::new(call)),
        }
    }
}

/// The hint as it was written, in its header.
pub(super) fn plain_hint(hint: &Hint, now: SystemTime) -> Vec<(&'static str, String)> {
    match hint {
        Hint::None => Vec::new(),
        Hint::Header(name, value) => vec![(*name, value.clone())],
        Hint::Date(away) => vec![("retry-after", httpdate::fmt_http_date(now + *away))],
    }
}

/// How long a hint says to wait, if it is a length of time.
pub(super) fn wait_of(hint: &Hint) -> Option<Duration> {
    match hint {
        Hint::None => None,
        Hint::Date(away) => Some(*away),
        Hint::Header("retry-after", value) => {
            value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        }
        Hint::Header("retry-after-ms", value) => value.parse().ok().map(Duration::from_millis),
        Hint::Header(_, value) => humantime::parse_duration(value).ok(),
    }
}
