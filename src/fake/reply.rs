//! From a request and a behaviour to a script: what is asked, which fault
//! strikes, what is written. Decides; performs nothing.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::answer::limited;
use super::behaviour::{
    Behaviour, BodyFault, Bulk, ConnectionFault, ContentFault, Fault, Hint, Rejection,
    RejectionKind, SlowFault,
};
use super::call::{Call, Message};
use super::embeddings::{put_embeddings, put_models};
use super::error_body::{ErrorBody, invalid_request};
use super::http::Request;
use super::question::{ChatBody, EmbeddingsBody, Saying};
use super::script::{End, Framing, Script, chunk_into, put};
use super::stream;
use super::whole::{whole, whole_chat};

const DRIBBLE_BYTES: usize = 1024;

/// What a request asks for.
pub(super) enum Asked<'a> {
    Chat(ChatBody<'a>),
    Embeddings(EmbeddingsBody<'a>),
    Models,
    /// Nothing that can be answered with success.
    Nothing(ErrorBody),
}

impl<'a> Asked<'a> {
    pub fn of(request: &'a Request) -> Self {
        let path = request.path.strip_prefix("/v1").unwrap_or(&request.path);
        match (request.method.as_str(), path) {
            ("POST", "/chat/completions") => {
                parsed(&request.body).map_or_else(Self::Nothing, Self::Chat)
            }
            ("POST", "/embeddings") => {
                parsed(&request.body).map_or_else(Self::Nothing, Self::Embeddings)
            }
            ("GET", "/models") => Self::Models,
            (method, path) => {
                let message = format!("Unknown request URL: {method} {path}.");
                Self::Nothing(invalid_request(404, "unknown_url", &message))
            }
        }
    }

    pub fn model(&self) -> &str {
        match self {
            Self::Chat(body) => &body.model,
            Self::Embeddings(body) => &body.model,
            Self::Models | Self::Nothing(_) => "",
        }
    }

    pub fn stream(&self) -> bool {
        match self {
            Self::Chat(body) => body.stream == Some(true),
            Self::Embeddings(_) | Self::Models | Self::Nothing(_) => false,
        }
    }
}

fn parsed<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, ErrorBody> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("We could not parse the JSON body of your request: {error}.");
        invalid_request(400, "invalid_json", &message)
    })
}

/// What is known when an answer is decided.
pub(super) struct Context<'a> {
    pub provider: &'a str,
    /// Number of the call at this provider.
    pub number: u64,
    pub now: SystemTime,
    /// What the caller authenticated with, and whether it will do.
    pub key: &'a str,
    pub key_accepted: bool,
}

/// Writes the answer to `asked` under `fault` into the script.
pub(super) fn write(
    script: &mut Script,
    context: &Context<'_>,
    asked: &Asked<'_>,
    behaviour: &Behaviour,
    fault: &Fault,
) {
    match fault {
        Fault::Connection(fault) => {
            if broken_connection(script, asked, *fault) {
                return;
            }
        }
        Fault::Rejection(rejection) => return rejected(script, context, asked.model(), rejection),
        Fault::None | Fault::Slow(_) | Fault::Body(_) | Fault::Stream(_) | Fault::Content(_) => {}
    }
    if !context.key_accepted {
        return error(script, &RejectionKind::Unauthorized.error(asked.model(), "sk-***"));
    }
    match asked {
        Asked::Chat(body) => chat(script, context, body, behaviour, fault),
        Asked::Embeddings(body) => {
            put_embeddings(&mut script.body, body, *fault == Fault::Content(ContentFault::Empty));
            whole(script, fault);
        }
        Asked::Models => {
            put_models(&mut script.body, context.provider);
            whole(script, fault);
        }
        Asked::Nothing(body) => error(script, body),
    }
}

/// An error answer in the provider's shape.
pub(super) fn error(script: &mut Script, error: &ErrorBody) {
    script.body.clear();
    put(&mut script.body, format_args!("{}", error.json));
    script.json(error.status);
}

/// Faults instead of an answer; false if the answer follows nevertheless.
fn broken_connection(script: &mut Script, asked: &Asked<'_>, fault: ConnectionFault) -> bool {
    match fault {
        ConnectionFault::Refuse | ConnectionFault::Reset => script.end = End::Reset,
        ConnectionFault::Close => script.end = End::Close,
        ConnectionFault::Silence => script.end = End::Silence,
        ConnectionFault::HeadersOnly => {
            let kind = if asked.stream() { "text/event-stream" } else { "application/json" };
            script.head(200, kind, Framing::Chunked);
            script.end = End::Silence;
        }
        ConnectionFault::Garbage => {
            script.bytes.extend_from_slice(b"\x16\x03\x01 this is not HTTP\r\n\r\n");
            script.end = End::Close;
        }
        ConnectionFault::Redirect => {
            let location = [("location", "/v1/elsewhere")];
            script.head_with(307, "text/plain", Framing::Length(0), &location);
        }
        ConnectionFault::HugeHeader { bytes } => {
            script.padding = bytes;
            return false;
        }
    }
    true
}

fn rejected(script: &mut Script, context: &Context<'_>, model: &str, rejection: &Rejection) {
    let ErrorBody { status, json } = rejection.kind.error(model, context.key);
    let mut headers = Vec::new();
    let date = |away| httpdate::fmt_http_date(context.now + away);
    match &rejection.hint {
        Hint::None => {}
        Hint::Header(name, value) => headers.push((*name, value.clone())),
        Hint::Date(away) => headers.push(("retry-after", date(*away))),
    }
    if rejection.kind == RejectionKind::Unauthorized {
        let challenge = format!("Bearer realm=\"fake\", error_description=\"{}\"", context.key);
        headers.push(("www-authenticate", challenge));
    }
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
    put(&mut script.body, format_args!("{json}"));
    match rejection.bulk {
        Bulk::Plain => {}
        Bulk::Padded { bytes } => pad(&mut script.body, bytes),
        Bulk::Dribbled { every } => {
            script.head_with(status, "application/json", Framing::Chunked, &headers);
            let mut bytes = Vec::new();
            chunk_into(&mut bytes, &[b' '; DRIBBLE_BYTES]);
            script.end = End::Repeat { bytes, every };
            return;
        }
    }
    script.head_with(status, "application/json", Framing::Length(script.body.len()), &headers);
    script.bytes.extend_from_slice(&script.body);
}

/// Fills an error body up with one more member.
fn pad(body: &mut Vec<u8>, bytes: usize) {
    body.pop();
    body.extend_from_slice(b",\"padding\":\"");
    body.resize(bytes.saturating_sub(2).max(body.len()), b'x');
    body.extend_from_slice(b"\"}");
}

fn chat(
    script: &mut Script,
    context: &Context<'_>,
    body: &ChatBody<'_>,
    behaviour: &Behaviour,
    fault: &Fault,
) {
    let text = match body.saying(behaviour) {
        Saying::Text(text) => text,
        Saying::PrefillUnsupported => {
            let message = "This model does not support prefill: the last message must not be \
                           an assistant message. Prefill is not supported.";
            return error(script, &invalid_request(400, "unsupported_value", message));
        }
    };
    let text = match fault {
        Fault::Content(ContentFault::WrongJson) => "Sure! Here it is: {\"answer\":".into(),
        Fault::Content(ContentFault::WrongSchema) => "{\"unexpected\": true}".into(),
        Fault::None
        | Fault::Connection(_)
        | Fault::Rejection(_)
        | Fault::Slow(_)
        | Fault::Body(_)
        | Fault::Stream(_)
        | Fault::Content(_) => Cow::Owned(text),
    };
    let (text, cut) = limited(text, body.token_limit());
    let tool = body.first_tool();
    let call = Call {
        provider: context.provider,
        model: &body.model,
        number: context.number,
        created: context.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        text: &text,
        finish: if cut { "length" } else { "stop" },
        prompt_tokens: body.prompt_tokens(),
        include_usage: body.include_usage(),
        chunk_delay: behaviour.chunk_delay,
        tool: tool.as_deref().unwrap_or("lookup"),
    };
    if body.stream == Some(true) {
        streamed_chat(script, &call, fault);
    } else {
        whole_chat(script, call, fault);
    }
}

fn streamed_chat(script: &mut Script, call: &Call<'_>, fault: &Fault) {
    match fault {
        Fault::None | Fault::Connection(_) | Fault::Rejection(_) => {
            stream::healthy(script, call, Duration::ZERO);
        }
        Fault::Slow(SlowFault::First(delay)) => stream::healthy(script, call, *delay),
        Fault::Slow(SlowFault::Whole(delay)) => {
            script.pause(*delay);
            stream::healthy(script, call, Duration::ZERO);
        }
        Fault::Body(BodyFault::Short) => stream::short(script, call),
        Fault::Body(BodyFault::TruncatedJson) => stream::truncated(script, call),
        Fault::Body(BodyFault::Empty) => script.head(200, "text/event-stream", Framing::Length(0)),
        Fault::Body(BodyFault::ErrorBody | BodyFault::Html { .. } | BodyFault::JsonForStream) => {
            call.put_whole(&mut script.body, Message::Text(call.text));
            whole(script, fault);
        }
        Fault::Stream(fault) => stream::broken(script, call, *fault),
        Fault::Content(fault) => stream::odd(script, call, *fault),
    }
}
