//! Streamed answers, healthy and broken, as scripts: the order of things, the
//! same for every dialect. How each thing is put is the voice's. Decides;
//! performs nothing.

use std::fmt::Display;
use std::time::Duration;

use super::answer::pieces;
use super::behaviour::{ContentFault, StreamFault};
use super::call::{Call, Finish};
use super::question::Delivery;
use super::script::{End, Framing, Script, chunk_into, put};

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
const JSON: &str = "application/json; charset=UTF-8";

/// How a dialect puts the parts of a streamed answer.
pub(super) trait Voice {
    /// What comes before any content.
    fn start(&mut self, wire: &mut Wire<'_>);
    /// The reasoning, which there is, whole.
    fn think(&mut self, wire: &mut Wire<'_>);
    /// What opens the content, before its first piece.
    fn open_content(&mut self, wire: &mut Wire<'_>);
    /// One piece of the content: the pieces are said in order, without gaps.
    fn piece(&mut self, wire: &mut Wire<'_>, piece: &str);
    /// What is still sent of the content when the stream breaks off here.
    fn break_off(&mut self, _wire: &mut Wire<'_>) {}
    /// What closes the content and says why the answer ends.
    fn finish(&mut self, wire: &mut Wire<'_>, finish: Finish);
    /// What comes after the reason: usage, terminator.
    fn close(&mut self, wire: &mut Wire<'_>);
    /// The provider's error, and what it sends after one.
    fn error(&mut self, wire: &mut Wire<'_>);
    /// One event of broken JSON, properly framed.
    fn malformed(&mut self, wire: &mut Wire<'_>);
    /// The beginning of an event.
    fn half_event(&mut self, wire: &mut Wire<'_>);
    /// What says that the provider is still there.
    fn idle(&self) -> Vec<u8>;
    /// More bytes than so many pieces take.
    fn more_than(&self, pieces: usize) -> usize;
}

/// Where events are written: each is one HTTP chunk, unless there are none.
pub(super) struct Wire<'a> {
    script: &'a mut Script,
    framed: bool,
}

impl Wire<'_> {
    /// Where the next event is put together.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        self.script.body.clear();
        &mut self.script.body
    }

    pub fn send(&mut self) {
        if self.framed {
            self.script.chunk();
        } else {
            self.script.bytes.extend_from_slice(&self.script.body);
        }
    }

    /// An event without a name.
    pub fn data(&mut self, json: impl Display) {
        put(self.begin(), format_args!("data: {json}\n\n"));
        self.send();
    }

    pub fn event(&mut self, name: &str, json: impl Display) {
        put(self.begin(), format_args!("event: {name}\ndata: {json}\n\n"));
        self.send();
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.begin().extend_from_slice(bytes);
        self.send();
    }
}

/// A healthy stream; `first` is the wait between the start and the content.
pub(super) fn healthy(script: &mut Script, call: &Call<'_>, first: Duration) {
    let mut stream = Stream::open(script, call);
    stream.start();
    stream.wire.script.pause(first);
    stream.say(usize::MAX);
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
            stream.wire.script.last_chunk();
        }
        StreamFault::Malformed { after } => {
            stream.begin(after);
            stream.voice.malformed(&mut stream.wire);
            stream.rest(after);
        }
        StreamFault::BadChunking { after } => {
            stream.begin(after);
            stream.wire.script.bytes.extend_from_slice(b"zz\r\nnot a chunk\r\n");
            stream.wire.script.end = End::Close;
        }
        StreamFault::ErrorEvent { after } => {
            if after > 0 {
                stream.begin(after);
            }
            stream.error();
        }
        StreamFault::ErrorStart => {
            stream.start();
            stream.error();
        }
        StreamFault::NoDone { stays_open } => {
            stream.begin(usize::MAX);
            stream.finish(call.finish);
            if stays_open {
                stream.wire.script.end = End::Silence;
            } else {
                stream.wire.script.last_chunk();
            }
        }
        StreamFault::Empty => stream.wire.script.last_chunk(),
        StreamFault::Comments { every } => {
            let idle = stream.voice.idle();
            stream.repeat(&idle, every);
        }
        StreamFault::Trickle { every } => stream.trickle(every),
    }
}

/// A proper stream whose content is not what was asked for. What another
/// content shows has been decided before.
pub(super) fn odd(script: &mut Script, call: &Call<'_>, fault: ContentFault) {
    let mut stream = Stream::open(script, call);
    stream.start();
    match fault {
        ContentFault::Empty => stream.finish(call.finish),
        ContentFault::Filtered { after } => {
            stream.say(after);
            stream.finish(Finish::Filtered);
        }
        ContentFault::Length { after } => {
            stream.say(after);
            stream.finish(Finish::Length);
        }
        ContentFault::ToolCut { after } => {
            stream.say(after);
            stream.voice.break_off(&mut stream.wire);
            stream.wire.script.end = End::Reset;
            return;
        }
        ContentFault::ToolCalls
        | ContentFault::Refusal
        | ContentFault::WrongJson
        | ContentFault::WrongSchema => {
            stream.say(usize::MAX);
            stream.finish(call.finish);
        }
        ContentFault::DoubleFinish => {
            stream.say(usize::MAX);
            stream.finish(call.finish);
            stream.finish(call.finish);
        }
    }
    stream.close();
}

/// A stream with a content-length that is larger than what is sent.
pub(super) fn short(script: &mut Script, call: &Call<'_>) {
    let count = pieces(call.content.text()).count() / 2;
    let voice = call.tongue.voice(call);
    let announced = voice.more_than(count + call.thought_tokens());
    let mut stream = Stream { wire: Wire { script, framed: false }, call, voice };
    stream.wire.script.head(200, content_type(call), Framing::Length(announced));
    stream.cut(count, End::Close);
}

/// A stream that ends in the middle of an event.
pub(super) fn truncated(script: &mut Script, call: &Call<'_>) {
    let mut stream = Stream::open(script, call);
    stream.begin(pieces(call.content.text()).count() / 2);
    stream.voice.half_event(&mut stream.wire);
    stream.wire.script.last_chunk();
}

/// What a stream of this call is labelled.
fn content_type(call: &Call<'_>) -> &'static str {
    match call.delivery {
        Delivery::Whole | Delivery::Events => EVENT_STREAM,
        Delivery::Array => JSON,
    }
}

struct Stream<'a> {
    wire: Wire<'a>,
    call: &'a Call<'a>,
    voice: Box<dyn Voice + 'a>,
}

impl<'a> Stream<'a> {
    fn open(script: &'a mut Script, call: &'a Call<'a>) -> Self {
        let headers = [("cache-control", "no-cache")];
        script.head_with(200, content_type(call), Framing::Chunked, &headers);
        script.body.clear();
        Self { wire: Wire { script, framed: true }, call, voice: call.tongue.voice(call) }
    }

    fn start(&mut self) {
        self.voice.start(&mut self.wire);
    }

    /// The start and so many pieces.
    fn begin(&mut self, count: usize) {
        self.start();
        self.say(count);
    }

    /// The first pieces of the content.
    fn say(&mut self, count: usize) {
        if !self.call.thoughts.is_empty() {
            self.voice.think(&mut self.wire);
        }
        self.voice.open_content(&mut self.wire);
        let content = self.call.content;
        for (at, piece) in pieces(content.text()).take(count).enumerate() {
            // A tool call has been opened by then, with its name.
            if at > 0 || content.is_tool() {
                self.wire.script.pause(self.call.chunk_delay);
            }
            self.voice.piece(&mut self.wire, piece);
        }
    }

    /// What comes after the first pieces, to the end.
    fn rest(&mut self, skip: usize) {
        for piece in pieces(self.call.content.text()).skip(skip) {
            self.wire.script.pause(self.call.chunk_delay);
            self.voice.piece(&mut self.wire, piece);
        }
        self.finish(self.call.finish);
        self.close();
    }

    fn cut(&mut self, count: usize, end: End) {
        self.begin(count);
        self.voice.break_off(&mut self.wire);
        self.wire.script.end = end;
    }

    fn finish(&mut self, finish: Finish) {
        self.voice.finish(&mut self.wire, finish);
    }

    /// What comes after the reason, and the end of the body.
    fn close(&mut self) {
        self.voice.close(&mut self.wire);
        self.wire.script.last_chunk();
    }

    fn error(&mut self) {
        self.voice.error(&mut self.wire);
        self.wire.script.last_chunk();
    }

    fn trickle(&mut self, every: Duration) {
        self.begin(1);
        self.wire.begin();
        self.voice.piece(&mut self.wire, " more");
        let mut event = self.wire.script.body.clone();
        if event.is_empty() {
            // A piece that this dialect keeps until the content is whole.
            event = self.voice.idle();
        }
        self.repeat(&event, every);
    }

    /// The same bytes, each time as one HTTP chunk, until the peer has gone.
    fn repeat(&mut self, content: &[u8], every: Duration) {
        let mut bytes = Vec::new();
        chunk_into(&mut bytes, content);
        self.wire.script.end = End::Repeat { bytes, every };
    }
}
