//! The kinds of call that are made: what is asked, and how the provider
//! answers it. Nothing here is sent or received.

use std::fmt::Write as _;

use bytes::Bytes;
use clap::ValueEnum;
use serde::Serialize;

/// Requests and whole answers are padded to about this many bytes.
const BODY_BYTES: usize = 1024;
/// Events of a stream, the terminator not counted.
pub const EVENTS: usize = 20;

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
    /// A burst from a provider that speaks Anthropic's dialect.
    Across,
    /// A stream with a pause between its events.
    Paced,
    /// A stream that stops after its first event, and stays open.
    #[value(skip)]
    Held,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Whole, Self::ModelLast, Self::Burst, Self::Across, Self::Paced, Self::Held];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::ModelLast => "model-last",
            Self::Burst => "burst",
            Self::Across => "across",
            Self::Paced => "paced",
            Self::Held => "held",
        }
    }

    pub const fn streams(self) -> bool {
        match self {
            Self::Whole | Self::ModelLast => false,
            Self::Burst | Self::Across | Self::Paced | Self::Held => true,
        }
    }

    /// By this in its body the provider knows a request's kind, whatever the
    /// proxy replaces or translates.
    pub fn marker(self) -> String {
        format!("(a {} call)", self.label())
    }

    /// The model that is asked for.
    const fn model(self) -> &'static str {
        match self {
            Self::Across => "across",
            Self::Whole | Self::ModelLast | Self::Burst | Self::Paced | Self::Held => "bench",
        }
    }

    /// The body of a request of this kind.
    pub fn request(self) -> Bytes {
        let model = format!(r#""model":"{}""#, self.model());
        let (marker, stream) = (self.marker(), self.streams());
        let fields = |text: &str| {
            format!(
                r#""messages":[{{"role":"system","content":"Answer briefly. {marker}"}},{{"role":"user","content":"{text}"}}],"temperature":0.7,"stream":{stream}"#
            )
        };
        let text = padding(BODY_BYTES.saturating_sub(fields("").len()));
        let fields = fields(&text);
        let body = match self {
            Self::ModelLast => format!("{{{fields},{model}}}"),
            Self::Whole | Self::Burst | Self::Across | Self::Paced | Self::Held => {
                format!("{{{model},{fields}}}")
            }
        };
        Bytes::from(body)
    }

    /// What a complete answer of this kind ends with.
    pub const fn ending(self) -> &'static [u8] {
        match self {
            Self::Whole | Self::ModelLast => b"}}",
            Self::Burst | Self::Across | Self::Paced | Self::Held => b"data: [DONE]\n\n",
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

/// The same stream in Anthropic's dialect: as many pieces of text.
pub fn messages_events() -> Vec<String> {
    let event =
        |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
    let delta = |text: &str| {
        let rest = format!(r#","index":0,"delta":{{"type":"text_delta","text":"{text}"}}"#);
        event("content_block_delta", &rest)
    };
    let start = event(
        "message_start",
        r#","message":{"id":"msg_bench","type":"message","role":"assistant","model":"bench-1","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":200,"output_tokens":1}}"#,
    );
    let block = r#","index":0,"content_block":{"type":"text","text":""}"#;
    let mut events = vec![start + &event("content_block_start", block) + &delta("Word")];
    events.extend((2..EVENTS).map(|number| delta(&format!(" number {number}"))));
    let end =
        r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":180}"#;
    events.push(
        event("content_block_stop", r#","index":0"#)
            + &event("message_delta", end)
            + &event("message_stop", ""),
    );
    events
}

fn padding(length: usize) -> String {
    "The wind is fair and the mast holds. ".chars().cycle().take(length).collect()
}
