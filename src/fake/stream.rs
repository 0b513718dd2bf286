//! Streamed chat answers, healthy and broken, as scripts. Decides; performs nothing.

use std::time::Duration;

use serde_json::json;

use super::answer::pieces;
use super::behaviour::{ContentFault, StreamFault};
use super::call::Call;
use super::error_body::overloaded;
use super::script::{End, Framing, Script, chunk_into, put, put_json};

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// A healthy stream; `first` is the wait between the role and the first word.
pub(super) fn healthy(script: &mut Script, call: &Call<'_>, first: Duration) {
    let mut stream = Stream::open(script, call);
    stream.role();
    stream.script.pause(first);
    stream.words(usize::MAX);
    stream.finish(call.finish);
    stream.close();
}

/// A stream that breaks off or goes wrong on its way.
pub(super) fn broken(script: &mut Script, call: &Call<'_>, fault: StreamFault) {
    let mut stream = Stream::open(script, call);
    match fault {
        StreamFault::CutReset { after } => stream.cut(after, End::Reset),
        StreamFault::CutFin { after } => stream.cut(after, End::Close),
        StreamFault::Stall { after } => stream.cut(after, End::Silence),
        StreamFault::CutClean { after } => {
            stream.begin(after);
            stream.script.last_chunk();
        }
        StreamFault::Malformed { after } => {
            stream.begin(after);
            stream.raw(b"data: {\"id\":\"chatcmpl-broken\",\"choices\":[{\"delta\":{\"cont\n\n");
            stream.rest(after);
        }
        StreamFault::BadChunking { after } => {
            stream.begin(after);
            stream.script.bytes.extend_from_slice(b"zz\r\nnot a chunk\r\n");
            stream.script.end = End::Close;
        }
        StreamFault::ErrorEvent { after } => {
            if after > 0 {
                stream.begin(after);
            }
            stream.data(&overloaded().json.to_string());
            stream.script.last_chunk();
        }
        StreamFault::NoDone { stays_open } => {
            stream.begin(usize::MAX);
            stream.finish(call.finish);
            if stays_open {
                stream.script.end = End::Silence;
            } else {
                stream.script.last_chunk();
            }
        }
        StreamFault::Empty => stream.script.last_chunk(),
        StreamFault::Comments { every } => {
            stream.repeat(b": keep-alive\n\n", every);
        }
        StreamFault::Trickle { every } => {
            stream.begin(1);
            stream.word(" more");
            let event = stream.script.body.clone();
            stream.repeat(&event, every);
        }
    }
}

/// A proper stream whose content is not what was asked for. `WrongJson` and
/// `WrongSchema` have changed the text already.
pub(super) fn odd(script: &mut Script, call: &Call<'_>, fault: ContentFault) {
    let mut stream = Stream::open(script, call);
    stream.role();
    match fault {
        ContentFault::Empty => stream.finish(call.finish),
        ContentFault::Filtered { after } => {
            stream.words(after);
            stream.finish("content_filter");
        }
        ContentFault::Length { after } => {
            stream.words(after);
            stream.finish("length");
        }
        ContentFault::ToolCalls => {
            stream.tool_call(usize::MAX);
            stream.finish("tool_calls");
        }
        ContentFault::ToolCut { after } => {
            stream.tool_call(after);
            stream.script.end = End::Reset;
            return;
        }
        ContentFault::WrongJson | ContentFault::WrongSchema => {
            stream.words(usize::MAX);
            stream.finish(call.finish);
        }
        ContentFault::DoubleFinish => {
            stream.words(usize::MAX);
            stream.finish(call.finish);
            stream.finish(call.finish);
        }
    }
    stream.close();
}

/// A stream with a content-length that is larger than what is sent.
pub(super) fn short(script: &mut Script, call: &Call<'_>) {
    let words = pieces(call.text).count() / 2;
    let mut stream = Stream { script, call, prefix: identity(call), framed: false };
    let announced = (words + 2) * (stream.prefix.len() + 100) * 2;
    stream.script.head(200, EVENT_STREAM, Framing::Length(announced));
    stream.cut(words, End::Close);
}

/// A stream that ends properly in HTTP, in the middle of an event.
pub(super) fn truncated(script: &mut Script, call: &Call<'_>) {
    let mut stream = Stream::open(script, call);
    stream.begin(pieces(call.text).count() / 2);
    stream.raw(b"data: {\"id\":\"chatcmpl-broken\",\"choices\":[{\"del");
    stream.script.last_chunk();
}

struct Stream<'a> {
    script: &'a mut Script,
    call: &'a Call<'a>,
    /// What every chunk begins with.
    prefix: Vec<u8>,
    /// Whether events are sent as HTTP chunks.
    framed: bool,
}

fn identity(call: &Call<'_>) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(256);
    call.put_identity(&mut prefix, "chat.completion.chunk");
    prefix
}

impl<'a> Stream<'a> {
    fn open(script: &'a mut Script, call: &'a Call<'a>) -> Self {
        script.head_with(200, EVENT_STREAM, Framing::Chunked, &[("cache-control", "no-cache")]);
        Self { script, call, prefix: identity(call), framed: true }
    }

    /// One chunk of the answer.
    fn event(&mut self, delta: &str, finish: Option<&str>) {
        self.begin_event();
        put(
            &mut self.script.body,
            format_args!(
                ",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":"
            ),
        );
        self.end_event(finish);
    }

    fn begin_event(&mut self) {
        let out = &mut self.script.body;
        out.clear();
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.prefix);
    }

    fn end_event(&mut self, finish: Option<&str>) {
        let out = &mut self.script.body;
        match finish {
            Some(reason) => put_json(out, reason),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b"}]}\n\n");
        self.send();
    }

    /// One word: the hot path, written without intermediate strings.
    fn word(&mut self, word: &str) {
        self.begin_event();
        let out = &mut self.script.body;
        out.extend_from_slice(b",\"choices\":[{\"index\":0,\"delta\":{\"content\":");
        put_json(out, word);
        out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
        self.end_event(None);
    }

    fn send(&mut self) {
        if self.framed {
            self.script.chunk();
        } else {
            self.script.bytes.extend_from_slice(&self.script.body);
        }
    }

    fn role(&mut self) {
        self.event(r#"{"role":"assistant","content":"","refusal":null}"#, None);
    }

    /// The role and so many words.
    fn begin(&mut self, words: usize) {
        self.role();
        self.words(words);
    }

    fn words(&mut self, count: usize) {
        for (at, word) in pieces(self.call.text).take(count).enumerate() {
            if at > 0 {
                self.script.pause(self.call.chunk_delay);
            }
            self.word(word);
        }
    }

    /// What comes after the first words, to the end.
    fn rest(&mut self, skip: usize) {
        for word in pieces(self.call.text).skip(skip) {
            self.script.pause(self.call.chunk_delay);
            self.word(word);
        }
        self.finish(self.call.finish);
        self.close();
    }

    fn cut(&mut self, words: usize, end: End) {
        self.begin(words);
        self.script.end = end;
    }

    fn tool_call(&mut self, fragments: usize) {
        let (name, arguments) = (self.call.tool, self.call.tool_arguments());
        let opening = json!({ "tool_calls": [{
            "index": 0,
            "id": format!("call_{}", self.call.number),
            "type": "function",
            "function": { "name": name, "arguments": "" },
        }] });
        self.event(&opening.to_string(), None);
        for fragment in pieces(&arguments).take(fragments) {
            self.script.pause(self.call.chunk_delay);
            let function = json!({ "arguments": fragment });
            let delta = json!({ "tool_calls": [{ "index": 0, "function": function }] });
            self.event(&delta.to_string(), None);
        }
    }

    fn finish(&mut self, reason: &str) {
        self.event("{}", Some(reason));
    }

    /// Usage if it was asked for, the terminator, and the end of the body.
    fn close(&mut self) {
        if self.call.include_usage {
            self.begin_event();
            self.script.body.extend_from_slice(b",\"choices\":[],\"usage\":");
            self.call.put_usage(&mut self.script.body);
            self.script.body.extend_from_slice(b"}\n\n");
            self.send();
        }
        self.raw(b"data: [DONE]\n\n");
        self.script.last_chunk();
    }

    fn data(&mut self, json: &str) {
        self.raw(format!("data: {json}\n\n").as_bytes());
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.script.body.clear();
        self.script.body.extend_from_slice(bytes);
        self.send();
    }

    /// The same bytes, each time as one HTTP chunk, until the peer has gone.
    fn repeat(&mut self, content: &[u8], every: Duration) {
        let mut bytes = Vec::new();
        chunk_into(&mut bytes, content);
        self.script.end = End::Repeat { bytes, every };
    }
}
