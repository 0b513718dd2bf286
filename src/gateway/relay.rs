//! The answer on its way to the client: the head once, then the events of the
//! winning attempt, and after a break those of whoever continues it.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::oneshot;

use super::outlet::{self, Outlet};
use super::reply::{self, ReplyBody, Stamp};
use crate::dialect::{Content, Continuation, Dialect, Identity, Misfit, Part, Seam};
use crate::upstream::Piece;

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
struct Stream {
    outlet: Outlet,
    /// False for the bytes of a whole answer that is too large to be held.
    events: bool,
    /// The first chunks' id and model, which a continuation keeps.
    identity: Option<Identity>,
    /// Between a broken stream and its continuation.
    seam: Option<Seam>,
    /// What the continuation added to the text so far.
    spliced: String,
    /// What comes after the model said why it stopped: kept until the whole
    /// answer was accepted.
    closing: Vec<Bytes>,
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

    pub const fn add(&mut self, content: Content) {
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

    /// A complete answer in one piece.
    pub fn whole(&mut self, headers: &HeaderMap, stamp: &Stamp, body: Bytes) {
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
    pub fn open(&mut self, headers: &HeaderMap, stamp: &Stamp, events: bool) {
        let (outlet, body) = outlet::channel(self.buffer);
        self.head(StatusCode::OK, headers, stamp, ReplyBody::stream(body));
        self.stream = Some(Stream {
            outlet,
            events,
            identity: None,
            seam: None,
            spliced: String::new(),
            closing: Vec::new(),
        });
    }

    fn head(&mut self, status: StatusCode, headers: &HeaderMap, stamp: &Stamp, body: ReplyBody) {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        reply::stamp(response.headers_mut(), stamp);
        self.respond(response);
    }

    /// From now on pieces continue `delivered`.
    pub fn continue_after(&mut self, delivered: &str, asked: Continuation) {
        if let Some(stream) = &mut self.stream {
            stream.seam = Some(Seam::new(delivered, asked));
            stream.closing.clear();
        }
    }

    /// What the present continuation added to the text.
    #[must_use]
    pub fn spliced(&self) -> &str {
        self.stream.as_ref().map_or("", |stream| &stream.spliced)
    }

    pub fn take_spliced(&mut self) -> String {
        self.stream.as_mut().map(|stream| std::mem::take(&mut stream.spliced)).unwrap_or_default()
    }

    /// Hands on raw bytes of an answer too large to look at.
    pub fn pass(&self, bytes: Bytes) {
        if let Some(stream) = &self.stream {
            stream.outlet.push(bytes);
        }
    }

    /// Hands on the events of the answering attempt.
    pub fn forward(&mut self, pieces: Vec<Piece>) -> Result<Forwarded, Misfit> {
        let Some(stream) = &mut self.stream else { return Ok(Forwarded::nothing()) };
        match stream.seam {
            None => Ok(stream.forward_plain(pieces, self.dialect)),
            Some(_) => stream.forward_spliced(pieces, self.dialect),
        }
    }

    /// Puts `text` in place of the text of the held pieces.
    pub fn forward_amended(&mut self, pieces: Vec<Piece>, text: &str) {
        let Some(stream) = &mut self.stream else { return };
        let mut text = Some(text);
        for piece in pieces {
            stream.learn_identity(&piece, self.dialect);
            match piece.part {
                Part::Content(_) | Part::Finish(_) => {
                    let finish = matches!(piece.part, Part::Finish(_));
                    let replaced = text.take().unwrap_or_default();
                    if finish || !replaced.is_empty() {
                        let bytes = self.dialect.with_text(&piece.frame, replaced);
                        stream.send(bytes, finish);
                    }
                }
                Part::Lifecycle | Part::Usage => {
                    let closing = !stream.closing.is_empty();
                    stream.send(piece.frame.bytes, closing);
                }
                Part::Comment | Part::Done | Part::Error(_) | Part::Malformed { .. } => {}
            }
        }
    }

    /// The proper end of a stream. `note` becomes a comment before the terminator.
    pub fn finish(&mut self, note: Option<&str>) {
        let Some(mut stream) = self.stream.take() else { return };
        if stream.events {
            for bytes in stream.closing.drain(..) {
                stream.outlet.push(bytes);
            }
            if let Some(note) = note {
                stream.outlet.push(self.dialect.comment(note));
            }
            stream.outlet.push(self.dialect.terminator());
        }
        stream.outlet.close();
    }

    /// The end of a stream that broke: an error event, no normal terminator. Of
    /// a whole answer there is only its connection to break off.
    pub fn break_off(&mut self, event: Bytes) {
        if let Some(stream) = self.stream.take().filter(|stream| stream.events) {
            stream.outlet.push(event);
            stream.outlet.close();
        }
    }
}

impl Stream {
    /// The chunk under the first stream's id and model.
    fn renamed(&self, piece: &Piece, text: Option<&str>, dialect: Dialect) -> Bytes {
        match &self.identity {
            Some(identity) => dialect.rewrite(&piece.frame, identity, text),
            None => piece.frame.bytes.clone(),
        }
    }

    fn send(&mut self, bytes: Bytes, closing: bool) {
        if closing {
            self.closing.push(bytes);
        } else {
            self.outlet.push(bytes);
        }
    }

    fn learn_identity(&mut self, piece: &Piece, dialect: Dialect) {
        if self.identity.is_none() {
            self.identity = dialect.identity(&piece.frame);
        }
    }

    /// Byte for byte, except for what closes the stream.
    fn forward_plain(&mut self, pieces: Vec<Piece>, dialect: Dialect) -> Forwarded {
        let mut done = Forwarded::nothing();
        for piece in pieces {
            self.learn_identity(&piece, dialect);
            match piece.part {
                Part::Comment | Part::Lifecycle | Part::Usage => {}
                Part::Content(content) => done.add(content),
                Part::Finish(content) => {
                    if let Some(content) = content {
                        done.add(content);
                    }
                    done.finished = true;
                }
                Part::Done | Part::Error(_) | Part::Malformed { .. } => continue,
            }
            let closing = done.finished || !self.closing.is_empty();
            self.send(piece.frame.bytes, closing);
        }
        done
    }

    /// Re-written to the first stream's id and model, without what the client
    /// already has.
    fn forward_spliced(
        &mut self,
        pieces: Vec<Piece>,
        dialect: Dialect,
    ) -> Result<Forwarded, Misfit> {
        let mut done = Forwarded::nothing();
        for piece in pieces {
            let finish = match piece.part {
                Part::Content(Content { continuable, .. }) => {
                    done.add(Content { text_bytes: 0, continuable });
                    false
                }
                Part::Finish(_) => {
                    done.finished = true;
                    true
                }
                Part::Usage => {
                    let bytes = self.renamed(&piece, None, dialect);
                    self.closing.push(bytes);
                    continue;
                }
                Part::Comment
                | Part::Lifecycle
                | Part::Done
                | Part::Error(_)
                | Part::Malformed { .. } => continue,
            };
            let text = dialect.text_of(&piece.frame);
            let mut fresh = match self.seam.as_mut() {
                Some(seam) => seam.push(&text)?.unwrap_or_default(),
                None => text.clone(),
            };
            if finish && let Some(seam) = self.seam.as_mut() {
                fresh.push_str(&seam.end()?.unwrap_or_default());
            }
            self.spliced.push_str(&fresh);
            done.text = done.text.saturating_add(u32::try_from(fresh.len()).unwrap_or(u32::MAX));
            if finish || !fresh.is_empty() || text.is_empty() {
                let bytes = self.renamed(&piece, Some(&fresh), dialect);
                self.send(bytes, finish);
            }
        }
        Ok(done)
    }
}
