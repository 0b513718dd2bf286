//! From a request and a behaviour to a script: which fault strikes, what is
//! written. Decides; performs nothing.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::answer::limited;
use super::behaviour::{
    Behaviour, BodyFault, Bulk, ConnectionFault, ContentFault, Fault, Rejection, RejectionKind,
    SlowFault,
};
use super::call::{Call, Content, Finish};
use super::calls::{ToolCall, tool_calls};
use super::error_body::{Blame, ErrorBody};
use super::question::{Delivery, Question, Saying};
use super::route::What;
use super::script::{End, Framing, Script, chunk_into, put};
use super::tongue::Tongue;
use super::vectors::Form;
use super::whole::{whole, whole_chat};
use super::{gemini, openai, stream};

pub(super) use super::route::Asked;

const DRIBBLE_BYTES: usize = 1024;
/// What a provider says whose model declines.
const REFUSAL: &str = "I'm sorry, but I can't help with that.";

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
    let tongue = asked.tongue;
    script.id_header = tongue.id_header();
    match fault {
        Fault::Connection(fault) => {
            if broken_connection(script, asked, *fault) {
                return;
            }
        }
        Fault::Rejection(rejection) => return rejected(script, context, asked, rejection),
        Fault::None | Fault::Slow(_) | Fault::Body(_) | Fault::Stream(_) | Fault::Content(_) => {}
    }
    if !context.key_accepted {
        return error(script, tongue, tongue.bad_key(asked.model()));
    }
    match &asked.what {
        What::Answer(question) => answer(script, context, asked, question, behaviour, fault),
        What::Vectors(vectors) => {
            let mut vectors = Cow::Borrowed(vectors);
            if *fault == Fault::Content(ContentFault::Empty) {
                vectors.to_mut().inputs.clear();
            }
            match vectors.form {
                Form::List { base64 } => {
                    openai::small::put_embeddings(
                        &mut script.body,
                        asked.model(),
                        &vectors,
                        base64,
                    );
                }
                Form::Gemini { batch } => {
                    gemini::small::put_embeddings(&mut script.body, &vectors, batch);
                }
            }
            whole(script, tongue, fault);
        }
        What::Models => {
            tongue.put_models(&mut script.body, context.provider);
            whole(script, tongue, fault);
        }
        What::Count(tokens) => {
            tongue.put_count(&mut script.body, *tokens);
            whole(script, tongue, fault);
        }
        What::Nothing(body) => error(script, tongue, body.clone()),
    }
}

/// An error answer in the provider's shape.
pub(super) fn error(script: &mut Script, tongue: Tongue, mut error: ErrorBody) {
    tongue.sign(&mut error.json, &script.request_id);
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
            let kind = match asked.delivery {
                Delivery::Events => "text/event-stream",
                Delivery::Whole | Delivery::Array => "application/json",
            };
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

fn rejected(script: &mut Script, context: &Context<'_>, asked: &Asked<'_>, rejection: &Rejection) {
    let tongue = asked.tongue;
    let blame = Blame { model: asked.model(), key: context.key };
    let ErrorBody { status, mut json } = tongue.rejection(rejection.kind, blame);
    tongue.sign(&mut json, &script.request_id);
    let mut headers = tongue.hint(&rejection.hint, context.now, &mut json);
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
    let kind = dress(&mut script.body, asked.delivery, status);
    script.head_with(status, kind, Framing::Length(script.body.len()), &headers);
    script.bytes.extend_from_slice(&script.body);
}

/// Gives a rejection the form of the answer that was asked for where it has
/// one, and names its content type: an array holds errors too, and a prompt
/// that is blocked with a 200 is an event of its own.
fn dress(body: &mut Vec<u8>, delivery: Delivery, status: u16) -> &'static str {
    match delivery {
        Delivery::Array => {
            body.insert(0, b'[');
            body.push(b']');
        }
        Delivery::Events if status == 200 => {
            body.splice(0..0, *b"data: ");
            body.extend_from_slice(b"\n\n");
            return "text/event-stream";
        }
        Delivery::Whole | Delivery::Events => {}
    }
    "application/json"
}

/// Fills an error body up with one more member.
fn pad(body: &mut Vec<u8>, bytes: usize) {
    body.pop();
    body.extend_from_slice(b",\"padding\":\"");
    body.resize(bytes.saturating_sub(2).max(body.len()), b'x');
    body.extend_from_slice(b"\"}");
}

fn answer(
    script: &mut Script,
    context: &Context<'_>,
    asked: &Asked<'_>,
    question: &Question<'_>,
    behaviour: &Behaviour,
    fault: &Fault,
) {
    let text = match question.saying(behaviour) {
        Saying::Text(text) => spoilt(text, fault),
        Saying::PrefillUnsupported => {
            return error(script, asked.tongue, asked.tongue.prefill_unsupported());
        }
    };
    let (text, cut) = limited(text, question.token_limit);
    let calls = tool_calls(question, &text, behaviour, fault);
    let (said, finish) = match (fault, calls.first()) {
        (Fault::Content(ContentFault::Refusal), _) => (Content::Refusal(REFUSAL), Finish::Refused),
        (_, Some(ToolCall { name, arguments })) => {
            (Content::Tool { name, arguments }, Finish::ToolCalls)
        }
        (_, None) if cut => (Content::Text(&text), Finish::Length),
        (_, None) => (Content::Text(&text), Finish::Stop),
    };
    let thoughts = super::answer::answer("thoughts", behaviour.thoughts);
    let call = Call {
        tongue: asked.tongue,
        provider: context.provider,
        model: asked.model(),
        number: context.number,
        created: context.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        text: &text,
        content: said,
        thoughts: &thoughts,
        more_calls: calls.get(1..).unwrap_or_default(),
        finish,
        prompt_tokens: question.prompt_tokens,
        include_usage: question.include_usage,
        chunk_delay: behaviour.chunk_delay,
        delivery: question.delivery,
    };
    if question.delivery.streamed() {
        streamed(script, &call, fault);
    } else {
        whole_chat(script, call, fault);
    }
}

/// The text, unless the fault has another one said.
fn spoilt(text: String, fault: &Fault) -> Cow<'static, str> {
    match fault {
        Fault::Content(ContentFault::WrongJson) => "Sure! Here it is: {\"answer\":".into(),
        Fault::Content(ContentFault::WrongSchema) => "{\"unexpected\": true}".into(),
        Fault::None
        | Fault::Connection(_)
        | Fault::Rejection(_)
        | Fault::Slow(_)
        | Fault::Body(_)
        | Fault::Stream(_)
        | Fault::Content(_) => Cow::Owned(text),
    }
}

fn streamed(script: &mut Script, call: &Call<'_>, fault: &Fault) {
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
        Fault::Body(BodyFault::Empty) => {
            let kind = match call.delivery {
                Delivery::Whole | Delivery::Events => "text/event-stream",
                Delivery::Array => "application/json",
            };
            script.head(200, kind, Framing::Length(0));
        }
        Fault::Body(BodyFault::ErrorBody | BodyFault::Html { .. } | BodyFault::JsonForStream) => {
            call.tongue.put_whole(&mut script.body, call);
            whole(script, call.tongue, fault);
        }
        Fault::Stream(fault) => stream::broken(script, call, *fault),
        Fault::Content(fault) => stream::odd(script, call, *fault),
    }
}
