//! The kinds of call that are made: what is asked, and how the provider
//! answers it. Nothing here is sent or received.

use std::fmt::Write as _;

use bytes::Bytes;
use clap::ValueEnum;
use serde::Serialize;

/// Requests and whole answers are padded to about this many bytes.
const BODY_BYTES: usize = 1024;
/// Events of a stream, the terminator not counted.
const EVENTS: usize = 20;

/// What a call asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A whole answer; the request names its model first.
    Whole,
    /// A whole answer; the request names its model last.
    ModelLast,
    /// A stream whose events come as fast as they can be written.
    Burst,
    /// A stream with a pause between its events.
    Paced,
    /// A stream that stops after its first event, and stays open.
    #[value(skip)]
    Held,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Whole, Self::ModelLast, Self::Burst, Self::Paced, Self::Held];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::ModelLast => "model-last",
            Self::Burst => "burst",
            Self::Paced => "paced",
            Self::Held => "held",
        }
    }

    pub const fn streams(self) -> bool {
        match self {
            Self::Whole | Self::ModelLast => false,
            Self::Burst | Self::Paced | Self::Held => true,
        }
    }

    /// By this in its body the provider knows a request's kind: a proxy may
    /// replace the model, but nothing else.
    pub fn marker(self) -> String {
        format!(r#""user":"{}""#, self.label())
    }

    /// The body of a request of this kind.
    pub fn request(self) -> Bytes {
        let (model, stream) = (r#""model":"bench""#, self.streams());
        let fields = |text: &str| {
            let marker = self.marker();
            format!(
                r#""messages":[{{"role":"system","content":"Answer briefly."}},{{"role":"user","content":"{text}"}}],"temperature":0.7,"stream":{stream},{marker}"#
            )
        };
        let text = padding(BODY_BYTES.saturating_sub(fields("").len()));
        let fields = fields(&text);
        let body = match self {
            Self::ModelLast => format!("{{{fields},{model}}}"),
            Self::Whole | Self::Burst | Self::Paced | Self::Held => {
                format!("{{{model},{fields}}}")
            }
        };
        Bytes::from(body)
    }

    /// What a complete answer of this kind ends with.
    pub const fn ending(self) -> &'static [u8] {
        match self {
            Self::Whole | Self::ModelLast => b"}}",
            Self::Burst | Self::Paced | Self::Held => b"data: [DONE]\n\n",
        }
    }
}

/// A whole answer, of the shape that providers send.
pub fn answer() -> String {
    let with = |text: &str| {
        format!(
            r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":200,"completion_tokens":180,"total_tokens":380}}}}"#
        )
    };
    with(&padding(BODY_BYTES.saturating_sub(with("").len())))
}

/// The events of a stream. All but the last carry text; the terminator comes
/// with the last.
pub fn events() -> Vec<String> {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench-1\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut events = vec![chunk(r#"{"role":"assistant","content":"Word"}"#, "null")];
    events.extend((2..EVENTS).map(|number| {
        let mut delta = String::new();
        let _ = write!(delta, r#"{{"content":" number {number}"}}"#);
        chunk(&delta, "null")
    }));
    events.push(chunk("{}", r#""stop""#) + "data: [DONE]\n\n");
    events
}

fn padding(length: usize) -> String {
    "The wind is fair and the mast holds. ".chars().cycle().take(length).collect()
}
