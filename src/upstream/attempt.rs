//! One attempt: from the request to the end of its answer, as a sequence of
//! reports. Dropping it cancels the request.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use reqwest::{Body, Response};
use tokio::time::Sleep;

use super::endpoint::{Asked, Endpoint, root_cause};
use super::report::{
    ErrorBody, Expect, Form, Headers, Piece, PieceContent, Report, Whole, WholeContent,
};
use super::sending::Sending;
use crate::dialect::hub::legend::Undo;
use crate::dialect::hub::{Answer, Legend};
use crate::dialect::sse::End;
use crate::dialect::{
    AnswerText, Dialect, FinishReason, Frame, Framer, Part, Quirks, Reader, Task, gemini, headers,
    hints, openai, sse, stream, whole,
};
use crate::failover::Outcome;
use crate::secret::Secret;

/// A whole answer is held until complete up to here; beyond that it is
/// delivered as it comes.
const MOST_HELD: usize = 32 << 20;
/// How much of an error's body is read, and for how long.
const MOST_OF_AN_ERROR: usize = 64 << 10;
const ERROR_BODY_TIME: Duration = Duration::from_secs(1);
/// How long, and how far, a finished connection is read on so that it can be
/// used again.
const DRAIN_TIME: Duration = Duration::from_secs(1);

enum State {
    Sending(Sending),
    Error {
        status: StatusCode,
        headers: HeaderMap,
        body: Body,
        read: BytesMut,
        patience: Pin<Box<Sleep>>,
    },
    Whole {
        body: Body,
        read: BytesMut,
        content_type: Option<String>,
    },
    Overflowing {
        body: Body,
    },
    Stream(Box<Streaming>),
    Over,
}

struct Streaming {
    body: Body,
    framer: Framer,
    reader: Reader,
    /// What is wanted are events.
    events: bool,
    content_seen: bool,
    /// The provider says why the model stopped.
    explains: bool,
}

/// See the module.
pub struct Attempt {
    endpoint: Arc<Endpoint>,
    expect: Expect,
    state: State,
    queue: VecDeque<Report>,
    answered: Option<AnswerText>,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("expect", &self.expect).finish_non_exhaustive()
    }
}

impl Attempt {
    /// Prepares the request; nothing is sent before the first poll.
    #[must_use]
    pub fn new(
        endpoint: &Arc<Endpoint>,
        expect: Expect,
        forwarded: HeaderMap,
        body: Bytes,
    ) -> Option<Self> {
        let sending = Sending::new(endpoint, expect.asked, forwarded, body)?;
        Some(Self {
            endpoint: Arc::clone(endpoint),
            expect,
            state: State::Sending(sending),
            queue: VecDeque::new(),
            answered: None,
        })
    }

    /// The answer's text, tool calls and finish so far.
    #[must_use]
    pub fn answer(&self) -> Option<&AnswerText> {
        match &self.state {
            State::Stream(streaming) => Some(streaming.reader.answer()),
            State::Sending(_)
            | State::Error { .. }
            | State::Whole { .. }
            | State::Overflowing { .. }
            | State::Over => self.answered.as_ref(),
        }
    }

    /// The next report. After `Ended`, pending for ever.
    pub fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Report> {
        loop {
            if let Some(report) = self.queue.pop_front() {
                return Poll::Ready(report);
            }
            match &mut self.state {
                State::Sending(sending) => match ready!(sending.poll(&self.endpoint, cx)) {
                    Ok(response) => self.headed(response),
                    Err(error) => self.end(not_sent(&error)),
                },
                State::Error { body, read, patience, .. } => {
                    let end = patience.as_mut().poll(cx).is_ready()
                        || ready!(read_more(body, read, MOST_OF_AN_ERROR, cx)) != More::Yes;
                    if end {
                        self.refused();
                    }
                }
                State::Whole { body, read, .. } => {
                    match ready!(read_more(body, read, MOST_HELD, cx)) {
                        More::Yes => {}
                        More::End => self.whole(),
                        More::TooMuch => self.overflow(),
                        More::Broken(detail) => self.end(Outcome::Cut { detail }),
                    }
                }
                State::Overflowing { body } => match ready!(Pin::new(body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        let data = frame.into_data().unwrap_or_default();
                        self.queue.push_back(Report::Overflow(data));
                    }
                    Some(Err(error)) => self.end(Outcome::Cut { detail: root_cause(&error) }),
                    None => self.end(Outcome::Completed),
                },
                State::Stream(streaming) => {
                    let arrived = match ready!(Pin::new(&mut streaming.body).poll_frame(cx)) {
                        Some(Ok(frame)) => Ok(frame.into_data().unwrap_or_default()),
                        Some(Err(error)) => Err(Some(root_cause(&error))),
                        None => Err(None),
                    };
                    match arrived {
                        Ok(data) => self.streamed(data),
                        Err(broken) => self.stream_ended(broken),
                    }
                }
                State::Over => return Poll::Pending,
            }
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.state = State::Over;
        self.queue.push_back(Report::Ended(outcome, None));
    }

    /// The status line arrived: what kind of answer is it?
    fn headed(&mut self, response: Response) {
        let (head, body) = http::Response::<Body>::from(response).into_parts();
        let (requests_left, tokens_left) = hints::rate_limits(&head.headers);
        if head.status != StatusCode::OK {
            let patience = Box::pin(tokio::time::sleep(ERROR_BODY_TIME));
            let (status, headers) = (head.status, head.headers);
            self.state = State::Error { status, headers, body, read: BytesMut::new(), patience };
            return;
        }
        let content_type = head.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|v| v.to_str().ok()).map(str::to_ascii_lowercase);
        let forwarded = headers::forward_response_headers(&head.headers, &self.endpoint.secrets());
        let headers = Headers { forwarded, requests_left, tokens_left };
        self.queue.push_back(Report::Headers(Box::new(headers)));
        let is_document = content_type
            .as_deref()
            .is_some_and(|t| t.starts_with("application/json") || t.starts_with("text/html"));
        self.state = if self.expect.asked.stream && !is_document {
            State::Stream(Box::new(Streaming {
                body,
                framer: Framer::new(sse::DEFAULT_FRAME_LIMIT),
                reader: self.expect.reader(),
                events: self.expect.form != Form::Bytes,
                content_seen: false,
                explains: !self.endpoint.quirks().has(Quirks::NO_FINISH_REASON),
            }))
        } else {
            State::Whole { body, read: BytesMut::new(), content_type }
        };
    }

    fn refused(&mut self) {
        let State::Error { status, headers, read, .. } =
            std::mem::replace(&mut self.state, State::Over)
        else {
            return;
        };
        let dialect = self.expect.asked.wire;
        let secrets = self.endpoint.secrets();
        let mut reply =
            dialect.error_reply(status.as_u16(), &headers, &read, self.expect.unix_now, &secrets);
        if matches!(self.expect.form, Form::Translated(_)) {
            reply.class = reply.class.of_a_translation();
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        let body = secrets.iter().fold(text, |text, secret| secret.redact(&text));
        let body = ErrorBody {
            content_type: headers.get(header::CONTENT_TYPE).cloned(),
            body: Bytes::from(body),
        };
        self.queue.push_back(Report::Ended(Outcome::Error(reply), Some(body)));
    }

    /// A complete body: an answer, or what only looks like one.
    fn whole(&mut self) {
        let State::Whole { read, content_type, .. } =
            std::mem::replace(&mut self.state, State::Over)
        else {
            return;
        };
        let body = whole::unmarked(read.freeze());
        match self.read_whole(&body, content_type.as_deref()) {
            Err(outcome) => self.end(outcome),
            Ok(whole) if self.expect.asked.stream => {
                let WholeContent::Answer(answer) = whole.content else {
                    let detail = "a document where a stream was asked for, of no known form";
                    return self.end(Outcome::NotAnAnswer { detail: detail.to_owned() });
                };
                let steps = stream::steps_of(answer, self.expect.choices);
                let pieces = steps.into_iter().map(|(part, event)| Piece {
                    part,
                    content: PieceContent::Events(vec![event]),
                });
                self.queue.push_back(Report::Pieces(pieces.collect()));
                self.answered = Some(whole.text);
                self.end(Outcome::Completed);
            }
            Ok(whole) => {
                self.queue.push_back(Report::Whole(Box::new(whole)));
                self.end(Outcome::Completed);
            }
        }
    }

    /// A complete body in the form that is wanted.
    fn read_whole(&self, body: &Bytes, content_type: Option<&str>) -> Result<Whole, Outcome> {
        let Asked { wire, task, stream } = self.expect.asked;
        let secrets = self.endpoint.secrets();
        let whole = wire.read_whole(task, content_type, body, &secrets)?;
        let legend = match &self.expect.form {
            Form::Translated(legend) => legend.clone(),
            Form::Events => Legend::default(),
            Form::Bytes if stream => Legend::default(),
            Form::Bytes => {
                let content = WholeContent::Bytes(body.clone());
                return Ok(Whole { text: whole.answer, content });
            }
        };
        let unreadable =
            || Outcome::NotAnAnswer { detail: "an answer of no known form".to_owned() };
        match task {
            Task::Generate => {
                let answer = wire.read_answer(body).ok_or_else(unreadable)?;
                let events = Undo::new(legend).apply(answer.into_events());
                let answer = Answer::of(events);
                Ok(Whole { text: answer.text(), content: WholeContent::Answer(answer) })
            }
            Task::Embed | Task::EmbedBatch => {
                let vectors = match wire {
                    Dialect::OpenAi => openai::read_vectors(body),
                    Dialect::Gemini => gemini::read_vectors(body),
                    Dialect::Responses | Dialect::Anthropic => None,
                };
                let vectors = vectors.ok_or_else(unreadable)?;
                let content = WholeContent::Embeddings(vectors);
                Ok(Whole { text: AnswerText::default(), content })
            }
            Task::CountTokens => Err(unreadable()),
        }
    }

    fn overflow(&mut self) {
        let State::Whole { body, read, .. } = std::mem::replace(&mut self.state, State::Over)
        else {
            return;
        };
        if self.expect.asked.stream || self.expect.form != Form::Bytes {
            let detail = "a document too large to be put into another form";
            return self.end(Outcome::NotAnAnswer { detail: detail.to_owned() });
        }
        self.queue.push_back(Report::Overflow(read.freeze()));
        self.state = State::Overflowing { body };
    }

    /// Reads the events in what arrived.
    fn streamed(&mut self, data: Bytes) {
        let State::Stream(streaming) = &mut self.state else { return };
        let secrets = self.endpoint.secrets();
        streaming.framer.push(data);
        let mut pieces = Vec::new();
        let mut outcome = None;
        while outcome.is_none() {
            let frame = match streaming.framer.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(detail) => {
                    outcome = Some(Outcome::Malformed { detail: detail.to_string() });
                    break;
                }
            };
            let piece = streaming.read(frame, &secrets);
            outcome = streaming.end_of(&piece.part);
            pieces.push(piece);
        }
        if !pieces.is_empty() {
            self.queue.push_back(Report::Pieces(pieces));
        }
        if let Some(outcome) = outcome {
            self.stream_over(outcome);
        }
    }

    fn stream_ended(&mut self, broken: Option<String>) {
        let secrets = self.endpoint.secrets();
        let State::Stream(streaming) = &mut self.state else { return };
        let last = streaming.last_frame().map(|frame| {
            let piece = streaming.read(frame, &secrets);
            (streaming.end_of(&piece.part), piece)
        });
        // Half an event says nothing, and may not even have begun its data; a
        // whole one without its blank line does.
        if let Some((end, piece)) = last
            && !matches!(piece.part, Part::Malformed { .. } | Part::Comment)
        {
            self.queue.push_back(Report::Pieces(vec![piece]));
            if let Some(outcome) = end {
                self.stream_over(outcome);
                return;
            }
        }
        let State::Stream(streaming) = &mut self.state else { return };
        let outcome = if streaming.reader.completed() {
            Outcome::Completed
        } else {
            let detail =
                broken.unwrap_or_else(|| "the stream ended without its terminator".to_owned());
            Outcome::Cut { detail }
        };
        self.stream_over(outcome);
    }

    fn stream_over(&mut self, outcome: Outcome) {
        if let State::Stream(streaming) = std::mem::replace(&mut self.state, State::Over) {
            let Streaming { body, reader, .. } = *streaming;
            self.answered = Some(reader.answer().clone());
            if outcome == Outcome::Completed {
                drain(body);
            }
        }
        self.queue.push_back(Report::Ended(outcome, None));
    }
}

impl Streaming {
    fn read(&mut self, frame: Frame, secrets: &[&Secret]) -> Piece {
        let part = self.reader.read(&frame, secrets);
        self.content_seen |= matches!(part, Part::Content(_) | Part::Finish(_));
        let content = if self.events {
            PieceContent::Events(self.reader.take_events())
        } else {
            PieceContent::Frame(frame)
        };
        Piece { part, content }
    }

    /// What lies in the framer at the end of the input, as an event.
    fn last_frame(&mut self) -> Option<Frame> {
        match self.framer.finish() {
            End::Clean => None,
            End::Last(frame) => Some(frame),
            End::Unfinished(bytes) => Some(Frame::parse([&bytes, &b"\n\n"[..]].concat().into())),
        }
    }

    /// The stream's outcome, if this part decides it.
    fn end_of(&self, part: &Part) -> Option<Outcome> {
        match part {
            Part::Done if !self.content_seen => {
                Some(Outcome::NotAnAnswer { detail: "an empty stream".to_owned() })
            }
            // What stands between us and the model may have lost it, and end
            // its own stream properly.
            Part::Done
                if self.explains && self.reader.answer().finish == FinishReason::Unfinished =>
            {
                let detail = "the stream ended without saying why the model stopped";
                Some(Outcome::Cut { detail: detail.to_owned() })
            }
            Part::Done => Some(Outcome::Completed),
            Part::Error(reply) => Some(Outcome::Error(reply.clone())),
            Part::Malformed { detail } => Some(Outcome::Malformed { detail: detail.clone() }),
            Part::Finish(_) | Part::Usage | Part::Lifecycle if self.reader.ended() => {
                Some(Outcome::Completed)
            }
            Part::Comment | Part::Lifecycle | Part::Content(_) | Part::Finish(_) | Part::Usage => {
                None
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum More {
    Yes,
    End,
    TooMuch,
    Broken(String),
}

fn read_more(
    body: &mut Body,
    read: &mut BytesMut,
    most: usize,
    cx: &mut Context<'_>,
) -> Poll<More> {
    Poll::Ready(match ready!(Pin::new(body).poll_frame(cx)) {
        None => More::End,
        Some(Err(error)) => More::Broken(root_cause(&error)),
        Some(Ok(frame)) => {
            if let Ok(data) = frame.into_data() {
                read.extend_from_slice(&data);
            }
            if read.len() > most { More::TooMuch } else { More::Yes }
        }
    })
}

/// Why no answer came at all.
fn not_sent(error: &reqwest::Error) -> Outcome {
    let detail = root_cause(error);
    if error.is_connect() && error.is_timeout() {
        Outcome::ConnectTimeout
    } else if error.is_connect() {
        Outcome::Unreachable { detail }
    } else {
        Outcome::Reset { detail }
    }
}

/// Reads what is left of a finished stream, so that its connection can serve
/// again: usually the last chunk's few bytes, which are here already.
fn drain(mut body: Body) {
    let mut left = MOST_OF_AN_ERROR;
    let waker = std::task::Waker::noop();
    let mut cx = Context::from_waker(waker);
    loop {
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let Some(rest) = left.checked_sub(length) else { return };
                left = rest;
            }
            Poll::Ready(None | Some(Err(_))) => return,
            Poll::Pending => break,
        }
    }
    let rest = async move {
        let read = async {
            while let Some(Ok(frame)) =
                std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
            {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let Some(rest) = left.checked_sub(length) else { return };
                left = rest;
            }
        };
        let _ = tokio::time::timeout(DRAIN_TIME, read).await;
    };
    tokio::spawn(rest);
}
