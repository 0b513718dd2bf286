//! The answer on its way to the client: the head once, then what the winning
//! attempt says, and after a break what whoever continues it says.

use std::mem;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::oneshot;

use super::outlet::{self, Outlet};
use super::reply::{self, ReplyBody, Stamp};
use crate::dialect::hub::Event;
use crate::dialect::{
    Content, Continuation, Dialect, ErrorOut, Frame, Head, Misfit, Part, Seam, Writer, stream,
};
use crate::upstream::{Piece, PieceContent};

/// Where the answer goes. Dropped without a reply, the client's connection ends.
#[derive(Debug)]
pub struct Relay {
    dialect: Dialect,
    reply: Option<oneshot::Sender<Response<ReplyBody>>>,
    stream: Option<Stream>,
    buffer: usize,
}

/// An answer under way.
#[derive(Debug)]
pub struct Stream {
    outlet: Outlet,
    /// False for the bytes of a whole answer that is too large to be held.
    events: bool,
    writer: Writer,
    /// Between a broken stream and its continuation.
    seam: Option<Seam>,
    /// What the continuation added to the text so far.
    spliced: String,
    /// What comes after the model said why it stopped: kept until the whole
    /// answer was accepted.
    closing: Vec<Closing>,
    /// Bytes it takes.
    closing_bytes: usize,
    /// What the client's dialect cannot say of the answer.
    lost: Vec<&'static str>,
}

/// What may follow the end, at the most; the rest of it is dropped. It is no part
/// of the answer, and counts of tokens are short.
const MOST_CLOSING: usize = 1 << 20;

#[derive(Debug)]
enum Closing {
    Frame(Frame, Part),
    Event(Event),
}

/// What was forwarded of some pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forwarded {
    /// Bytes of answer text.
    pub text: u32,
    pub content: bool,
    pub continuable: bool,
    pub finished: bool,
}

impl Forwarded {
    /// Nothing yet.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { text: 0, content: false, continuable: true, finished: false }
    }

    /// What a part brings.
    pub const fn add(&mut self, part: &Part) {
        match part {
            Part::Content(content) => self.add_content(*content),
            Part::Finish(content) => {
                if let Some(content) = content {
                    self.add_content(*content);
                }
                self.finished = true;
            }
            Part::Comment
            | Part::Lifecycle
            | Part::Usage
            | Part::Done
            | Part::Error(_)
            | Part::Malformed { .. } => {}
        }
    }

    const fn add_content(&mut self, content: Content) {
        self.text = self.text.saturating_add(content.text_bytes);
        self.content = true;
        self.continuable &= content.continuable;
    }
}

impl Relay {
    #[must_use]
    pub const fn new(
        dialect: Dialect,
        reply: oneshot::Sender<Response<ReplyBody>>,
        buffer: usize,
    ) -> Self {
        Self { dialect, reply: Some(reply), stream: None, buffer }
    }

    /// Ready once the client is gone (`Err`) or, if wanted, there is room.
    pub fn poll_client(
        &mut self,
        want_room: bool,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), outlet::ClientGone>> {
        match (&mut self.reply, &self.stream) {
            (_, Some(stream)) => stream.outlet.poll_room(want_room, cx),
            (Some(reply), None) => reply.poll_closed(cx).map(|()| Err(outlet::ClientGone)),
            (None, None) => std::task::Poll::Pending,
        }
    }

    /// Whether the client takes less than it is given.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.outlet.is_full())
    }

    /// A whole answer.
    pub fn whole(&mut self, headers: HeaderMap, stamp: &Stamp, body: Bytes) {
        self.head(StatusCode::OK, headers, stamp, ReplyBody::whole(body));
    }

    /// An answer or refusal made by the gateway itself.
    pub fn respond(&mut self, response: Response<ReplyBody>) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(response);
        }
    }

    /// Opens a stream to the client.
    ///
    /// `events` is false for a whole answer that is handed on as it comes: it
    /// ends with its last byte, and nothing can be added to it.
    pub fn open(&mut self, headers: HeaderMap, stamp: &Stamp, head: Head, events: bool) {
        let (outlet, body) = outlet::channel(self.buffer);
        self.head(StatusCode::OK, headers, stamp, ReplyBody::stream(body));
        self.stream = Some(Stream {
            outlet,
            events,
            writer: Writer::new(self.dialect, head),
            seam: None,
            spliced: String::new(),
            closing: Vec::new(),
            closing_bytes: 0,
            lost: Vec::new(),
        });
    }

    fn head(&mut self, status: StatusCode, headers: HeaderMap, stamp: &Stamp, body: ReplyBody) {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        reply::stamp(response.headers_mut(), stamp);
        self.respond(response);
    }

    /// From now on pieces continue `delivered`, of which their target was shown
    /// this many bytes.
    pub fn continue_after(&mut self, delivered: &str, shown: usize, asked: Continuation) {
        if let Some(stream) = &mut self.stream {
            stream.seam = Some(Seam::new(delivered, shown, asked));
            stream.closing.clear();
            stream.closing_bytes = 0;
        }
    }

    /// What the present continuation added to the text.
    #[must_use]
    pub fn spliced(&self) -> &str {
        self.stream.as_ref().map_or("", |stream| &stream.spliced)
    }

    pub fn take_spliced(&mut self) -> String {
        self.stream.as_mut().map(|stream| mem::take(&mut stream.spliced)).unwrap_or_default()
    }

    /// Hands on raw bytes of an answer too large to look at.
    pub fn pass(&self, bytes: Bytes) {
        if let Some(stream) = &self.stream {
            stream.outlet.push(bytes);
        }
    }

    /// Hands on what the answering attempt says.
    pub fn forward(&mut self, pieces: Vec<Piece>) -> Result<Forwarded, Misfit> {
        let Some(stream) = &mut self.stream else { return Ok(Forwarded::nothing()) };
        let mut done = Forwarded::nothing();
        let mut out = Vec::new();
        let forwarded =
            pieces.into_iter().try_for_each(|piece| stream.take(piece, &mut done, &mut out));
        stream.outlet.push(Bytes::from(out));
        forwarded.map(|()| done)
    }

    /// Hands on the held pieces with `text` in place of theirs.
    pub fn forward_amended(&mut self, pieces: Vec<Piece>, text: &str) {
        let Some(stream) = &mut self.stream else { return };
        let mut amended = Some(text.to_owned());
        let mut out = Vec::new();
        for event in events_of(self.dialect, pieces) {
            let ends = matches!(event, Event::Finish { .. });
            let says = matches!(event, Event::Text { .. });
            if (ends || says)
                && let Some(text) = amended.take()
            {
                stream.writer.write(&Event::Text { choice: 0, text }, &mut out);
            }
            if !says {
                stream.say(event, true, &mut out);
            }
        }
        stream.outlet.push(Bytes::from(out));
    }

    /// The proper end of a stream. `note` becomes a comment before the terminator.
    pub fn finish(&mut self, note: Option<&str>) {
        let Some(mut stream) = self.stream.take() else { return };
        if stream.events {
            let mut out = Vec::new();
            for closing in mem::take(&mut stream.closing) {
                match closing {
                    Closing::Frame(frame, part) => stream.writer.pass(&frame, &part, &mut out),
                    Closing::Event(event) => stream.writer.write(&event, &mut out),
                }
            }
            if let Some(note) = note {
                stream.writer.comment(note, &mut out);
            }
            if !stream.lost.is_empty() {
                let lost = format!("backstay dropped {}", stream.lost.join(", "));
                stream.writer.comment(&lost, &mut out);
            }
            stream.writer.finish(&mut out);
            stream.outlet.push(Bytes::from(out));
        }
        stream.outlet.close();
    }

    /// The stream, if one was opened, to be broken off. Dropped, its connection
    /// breaks.
    pub const fn take_stream(&mut self) -> Option<Stream> {
        self.stream.take()
    }
}

/// The events of an answer from its beginning. Frames are those of the client's
/// own dialect.
fn events_of(dialect: Dialect, pieces: Vec<Piece>) -> Vec<Event> {
    let mut frames = Vec::new();
    let mut events = Vec::new();
    for piece in pieces {
        match piece.content {
            PieceContent::Frame(frame) => frames.push(frame),
            PieceContent::Events(more) => events.extend(more),
        }
    }
    events.extend(stream::events_of(dialect, &frames).into_iter().flatten());
    events
}

impl Stream {
    /// The end of a stream that broke: an error event, no normal terminator. Of
    /// a whole answer there is only its connection to break off.
    pub fn break_off(mut self, error: &ErrorOut<'_>) {
        if self.events {
            let mut out = Vec::new();
            self.writer.error(error, &mut out);
            self.outlet.push(Bytes::from(out));
            self.outlet.close();
        }
    }

    fn take(
        &mut self,
        piece: Piece,
        done: &mut Forwarded,
        out: &mut Vec<u8>,
    ) -> Result<(), Misfit> {
        match &piece.part {
            Part::Error(_) | Part::Malformed { .. } => return Ok(()),
            Part::Done => {
                if let PieceContent::Frame(frame) = piece.content {
                    self.closing.push(Closing::Frame(frame, piece.part));
                }
                return Ok(());
            }
            Part::Comment | Part::Lifecycle | Part::Content(_) | Part::Finish(_) | Part::Usage => {}
        }
        match piece.content {
            PieceContent::Frame(frame) => {
                done.add(&piece.part);
                if done.finished || !self.closing.is_empty() {
                    let size = size_of::<Closing>() + frame.bytes.len();
                    self.keep(Closing::Frame(frame, piece.part), size);
                } else {
                    self.writer.pass(&frame, &piece.part, out);
                }
                Ok(())
            }
            PieceContent::Events(_) if piece.part == Part::Comment => {
                if self.closing.is_empty() {
                    self.writer.keep_alive(out);
                }
                Ok(())
            }
            PieceContent::Events(events) if self.seam.is_some() => {
                // How much of its text is new is not known yet.
                let text = done.text;
                done.add(&piece.part);
                done.text = text;
                self.splice(events, done, out)
            }
            PieceContent::Events(events) => {
                done.add(&piece.part);
                let last = matches!(piece.part, Part::Finish(_));
                for event in events {
                    self.say(event, last, out);
                }
                Ok(())
            }
        }
    }

    /// Writes an event, or keeps it for the end: why the last choice stopped,
    /// and what comes after that. Counts of tokens may come at any time.
    fn say(&mut self, event: Event, last: bool, out: &mut Vec<u8>) {
        if let Event::Opaque { what, .. } = event
            && !self.lost.contains(&what)
        {
            self.lost.push(what);
        }
        let ends = last && matches!(event, Event::Finish { .. });
        if ends || !self.closing.is_empty() {
            let size = event.size();
            self.keep(Closing::Event(event), size);
        } else {
            self.writer.write(&event, out);
        }
    }

    /// Keeps it for the end. The first is what says why the model stopped, and
    /// may bring the last of the answer with it.
    fn keep(&mut self, closing: Closing, size: usize) {
        let room = self.closing_bytes.saturating_add(size) <= MOST_CLOSING;
        if room || self.closing.is_empty() {
            self.closing_bytes += size;
            self.closing.push(closing);
        }
    }

    /// What a continuation says, without what the client already has, and
    /// without the reasoning that led there.
    fn splice(
        &mut self,
        events: Vec<Event>,
        done: &mut Forwarded,
        out: &mut Vec<u8>,
    ) -> Result<(), Misfit> {
        for event in events {
            let fresh = match (&event, &mut self.seam) {
                (Event::Text { text, .. }, Some(seam)) => seam.push(text)?,
                (Event::Begin { .. } | Event::Usage(_) | Event::Thought { .. }, _) | (_, None) => {
                    None
                }
                (_, Some(seam)) => seam.end()?,
            };
            if let Some(text) = fresh {
                self.spliced.push_str(&text);
                done.text = done.text.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX));
                self.say(Event::Text { choice: 0, text }, true, out);
            }
            if !matches!(event, Event::Text { .. } | Event::Thought { .. }) {
                self.say(event, true, out);
            }
        }
        Ok(())
    }
}
