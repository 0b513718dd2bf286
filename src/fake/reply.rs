//! From a request and a behaviour to a script: what is asked, which fault
//! strikes, what is written. Decides; performs nothing.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::answer::{fnv1a, limited, mix, pieces};
use super::behaviour::{
    Behaviour, BodyFault, Bulk, ConnectionFault, ContentFault, Fault, Hint, Rejection,
    RejectionKind, SlowFault, StreamFault,
};
use super::error_body::{ErrorBody, invalid_request, overloaded};
use super::grammar::FAULTS;
use super::http::Request;
use super::question::{ChatBody, EmbeddingsBody, Saying};
use super::script::{End, Framing, Script, chunk_into, put, put_json};
use super::stream;

const DEFAULT_DIMENSIONS: u16 = 8;
const DRIBBLE_BYTES: usize = 1024;
const PAGE: &[u8] = b"<!DOCTYPE html>\n<html><head><title>Bad gateway</title></head>\
    <body><h1>Bad gateway</h1><p>The origin did not answer.</p></body></html>\n";

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

/// One chat call, with all that its answer shows.
pub(super) struct Call<'a> {
    pub provider: &'a str,
    pub model: &'a str,
    pub number: u64,
    pub created: u64,
    pub text: &'a str,
    pub finish: &'static str,
    pub prompt_tokens: usize,
    pub include_usage: bool,
    pub chunk_delay: Duration,
    /// The function that a tool call names.
    pub tool: &'a str,
}

impl Call<'_> {
    /// The opening brace and the members that every answer and chunk begins with.
    pub fn put_identity(&self, out: &mut Vec<u8>, object: &str) {
        put(out, format_args!("{{\"id\":\"chatcmpl-{}-{}\",", self.provider, self.number));
        put(out, format_args!("\"object\":\"{object}\",\"created\":{},\"model\":", self.created));
        put_json(out, self.model);
        put(out, format_args!(",\"system_fingerprint\":\"fp_{}\"", self.provider));
    }

    pub fn put_usage(&self, out: &mut Vec<u8>) {
        let (prompt, completion) = (self.prompt_tokens, pieces(self.text).count());
        put(out, format_args!("{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},"));
        put(out, format_args!("\"total_tokens\":{}}}", prompt + completion));
    }

    pub fn request_id(&self) -> String {
        format!("req-{}-{}", self.provider, self.number)
    }

    pub fn tool_arguments(&self) -> String {
        json!({ "query": self.text }).to_string()
    }

    fn put_whole(&self, out: &mut Vec<u8>, message: Message<'_>) {
        self.put_identity(out, "chat.completion");
        out.extend_from_slice(
            b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":",
        );
        match message {
            Message::Text(text) => put_json(out, text),
            Message::ToolCall { arguments } => {
                let call = json!([{
                    "id": format!("call_{}", self.number),
                    "type": "function",
                    "function": { "name": self.tool, "arguments": arguments },
                }]);
                put(out, format_args!("null,\"tool_calls\":{call}"));
            }
        }
        out.extend_from_slice(b",\"refusal\":null},\"logprobs\":null,\"finish_reason\":");
        put_json(out, self.finish);
        out.extend_from_slice(b"}],\"usage\":");
        self.put_usage(out);
        out.push(b'}');
    }
}

#[derive(Clone, Copy)]
enum Message<'a> {
    Text(&'a str),
    ToolCall { arguments: &'a str },
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

fn whole_chat(script: &mut Script, mut call: Call<'_>, fault: &Fault) {
    let words = |after: usize| pieces(call.text).take(after).map(str::len).sum::<usize>();
    let arguments = call.tool_arguments();
    let message = match fault {
        Fault::Content(ContentFault::Empty) => {
            call.text = "";
            Message::Text("")
        }
        Fault::Content(ContentFault::Filtered { after }) => {
            call.finish = "content_filter";
            Message::Text(&call.text[..words(*after)])
        }
        Fault::Content(ContentFault::Length { after }) => {
            call.finish = "length";
            Message::Text(&call.text[..words(*after)])
        }
        Fault::Content(ContentFault::ToolCalls) => {
            call.finish = "tool_calls";
            Message::ToolCall { arguments: &arguments }
        }
        Fault::Content(ContentFault::ToolCut { .. }) => {
            call.finish = "tool_calls";
            Message::ToolCall { arguments: &arguments[..arguments.len() / 2] }
        }
        Fault::Content(
            ContentFault::WrongJson | ContentFault::WrongSchema | ContentFault::DoubleFinish,
        )
        | Fault::None
        | Fault::Connection(_)
        | Fault::Rejection(_)
        | Fault::Slow(_)
        | Fault::Body(_)
        | Fault::Stream(_) => Message::Text(call.text),
    };
    call.put_whole(&mut script.body, message);
    whole(script, fault);
}

/// The whole answer in `script.body`, framed as the fault wants it.
fn whole(script: &mut Script, fault: &Fault) {
    match fault {
        Fault::None | Fault::Connection(_) | Fault::Rejection(_) | Fault::Content(_) => {
            script.json(200);
        }
        Fault::Slow(SlowFault::First(delay) | SlowFault::Whole(delay)) => {
            script.pause(*delay);
            script.json(200);
        }
        Fault::Body(fault) => odd_body(script, *fault),
        Fault::Stream(fault) => broken_body(script, *fault),
    }
}

fn odd_body(script: &mut Script, fault: BodyFault) {
    match fault {
        BodyFault::ErrorBody => error_with_200(script),
        BodyFault::Empty => script.head(200, "application/json", Framing::Length(0)),
        BodyFault::Html { status } => {
            script.head(status, "text/html; charset=utf-8", Framing::Length(PAGE.len()));
            script.bytes.extend_from_slice(PAGE);
        }
        BodyFault::Short => half(script, End::Close),
        BodyFault::TruncatedJson => truncated(script),
        BodyFault::JsonForStream => script.json(200),
    }
}

/// A whole answer that breaks in the way nearest to that of a stream.
fn broken_body(script: &mut Script, fault: StreamFault) {
    match fault {
        StreamFault::CutReset { .. } => half(script, End::Reset),
        StreamFault::CutFin { .. } => half(script, End::Close),
        StreamFault::Stall { .. } => half(script, End::Silence),
        StreamFault::CutClean { .. } => truncated(script),
        StreamFault::Malformed { .. } => {
            let middle = script.body.len() / 2;
            script.body.splice(middle..middle, *b"\"}{,");
            script.json(200);
        }
        StreamFault::BadChunking { .. } => {
            script.head(200, "application/json", Framing::Chunked);
            script.body.truncate(script.body.len() / 2);
            script.chunk();
            script.bytes.extend_from_slice(b"zz\r\nnot a chunk\r\n");
            script.end = End::Close;
        }
        StreamFault::ErrorEvent { .. } => error_with_200(script),
        StreamFault::NoDone { .. } => script.json(200),
        StreamFault::Empty => script.head(200, "application/json", Framing::Length(0)),
        // Blank lines: how some providers keep a waiting connection alive.
        StreamFault::Comments { every } => endless(script, b"\n", every),
        StreamFault::Trickle { every } => {
            script.body.truncate(script.body.len() / 2);
            endless(script, b" more", every);
        }
    }
}

fn error_with_200(script: &mut Script) {
    error(script, &ErrorBody { status: 200, json: overloaded().json });
}

fn half(script: &mut Script, end: End) {
    script.head(200, "application/json", Framing::Length(script.body.len()));
    script.bytes.extend_from_slice(&script.body[..script.body.len() / 2]);
    script.end = end;
}

fn truncated(script: &mut Script) {
    script.body.truncate(script.body.len() / 2);
    script.json(200);
}

fn endless(script: &mut Script, content: &[u8], every: Duration) {
    script.head(200, "application/json", Framing::Chunked);
    if content != b"\n" {
        script.chunk();
    }
    let mut bytes = Vec::new();
    chunk_into(&mut bytes, content);
    script.end = End::Repeat { bytes, every };
}

fn put_embeddings(out: &mut Vec<u8>, body: &EmbeddingsBody<'_>, empty: bool) {
    let inputs = if empty { Vec::new() } else { body.inputs() };
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (index, input) in inputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put(out, format_args!("{{\"object\":\"embedding\",\"index\":{index},\"embedding\":"));
        let vector = embedding(input, body.dimensions.unwrap_or(DEFAULT_DIMENSIONS));
        if body.base64() {
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            put_json(out, &STANDARD.encode(bytes));
        } else {
            put(out, format_args!("{}", json!(vector)));
        }
        out.push(b'}');
    }
    let tokens = inputs.iter().map(|input| input.len() / 4 + 1).sum::<usize>();
    out.extend_from_slice(b"],\"model\":");
    put_json(out, &body.model);
    put(out, format_args!(",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}}}}"));
}

/// Numbers from -1 to 1 that depend on the input alone.
fn embedding(input: &str, dimensions: u16) -> Vec<f32> {
    let seed = fnv1a(input.as_bytes());
    let value = |place: u16| {
        let bits = u16::try_from(mix(seed, u64::from(place)) >> 48).expect("16 bits are left");
        f32::from(bits) / f32::from(u16::MAX) * 2.0 - 1.0
    };
    (0..dimensions).map(value).collect()
}

fn put_models(out: &mut Vec<u8>, provider: &str) {
    let entry =
        |id: String| json!({ "id": id, "object": "model", "created": 0, "owned_by": provider });
    let faults = FAULTS
        .iter()
        .filter(|(_, _, effect)| !effect.starts_with("when:") && !effect.starts_with("setting:"));
    let models: Vec<_> = std::iter::once(format!("{provider}-model"))
        .chain(faults.map(|(name, ..)| format!("fault-{}", name.split(' ').next().unwrap_or(name))))
        .map(entry)
        .collect();
    put(out, format_args!("{}", json!({ "object": "list", "data": models })));
}
