//! Whole answers, healthy and broken, as scripts. Decides; performs nothing.

use std::time::Duration;

use super::behaviour::{BodyFault, ContentFault, Fault, SlowFault, StreamFault};
use super::call::{Call, Content, Finish};
use super::error_body::ErrorBody;
use super::reply::error;
use super::script::{End, Framing, Script, chunk_into};
use super::tongue::Tongue;

const PAGE: &[u8] = b"<!DOCTYPE html>\n<html><head><title>Bad gateway</title></head>\
    <body><h1>Bad gateway</h1><p>The origin did not answer.</p></body></html>\n";

/// A whole answer to a question.
pub(super) fn whole_chat(script: &mut Script, mut call: Call<'_>, fault: &Fault) {
    match fault {
        Fault::Content(ContentFault::Empty) => {
            call.text = "";
            call.content = Content::Text("");
        }
        Fault::Content(ContentFault::Filtered { after }) => {
            call.finish = Finish::Filtered;
            call.content = call.content.cut(*after);
        }
        Fault::Content(ContentFault::Length { after }) => {
            call.finish = Finish::Length;
            call.content = call.content.cut(*after);
        }
        Fault::Content(ContentFault::ToolCut { .. }) => call.content = call.content.half(),
        Fault::Content(
            ContentFault::ToolCalls
            | ContentFault::Refusal
            | ContentFault::WrongJson
            | ContentFault::WrongSchema
            | ContentFault::DoubleFinish,
        )
        | Fault::None
        | Fault::Connection(_)
        | Fault::Rejection(_)
        | Fault::Slow(_)
        | Fault::Body(_)
        | Fault::Stream(_) => {}
    }
    call.tongue.put_whole(&mut script.body, &call);
    whole(script, call.tongue, fault);
}

/// The whole answer in `script.body`, framed as the fault wants it.
pub(super) fn whole(script: &mut Script, tongue: Tongue, fault: &Fault) {
    match fault {
        Fault::None | Fault::Connection(_) | Fault::Rejection(_) | Fault::Content(_) => {
            script.json(200);
        }
        Fault::Slow(SlowFault::First(delay) | SlowFault::Whole(delay)) => {
            script.pause(*delay);
            script.json(200);
        }
        Fault::Body(fault) => odd_body(script, tongue, *fault),
        Fault::Stream(fault) => broken_body(script, tongue, *fault),
    }
}

fn odd_body(script: &mut Script, tongue: Tongue, fault: BodyFault) {
    match fault {
        BodyFault::ErrorBody => error_with_200(script, tongue),
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
fn broken_body(script: &mut Script, tongue: Tongue, fault: StreamFault) {
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
        StreamFault::ErrorEvent { .. } | StreamFault::ErrorStart => error_with_200(script, tongue),
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

fn error_with_200(script: &mut Script, tongue: Tongue) {
    error(script, tongue, ErrorBody { status: 200, json: tongue.overloaded().json });
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
