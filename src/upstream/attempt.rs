//! One attempt: from the request to the end of its answer, as a sequence of
//! reports. Dropping it cancels the request.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use reqwest::{Body, Response};
use tokio::time::Sleep;

use super::endpoint::{Endpoint, root_cause};
use crate::dialect::sse::End;
use crate::dialect::{AnswerText, Frame, Framer, Part, Reader, Whole, headers, hints, sse};
use crate::failover::{Operation, Outcome};

/// A whole answer is held until complete up to here; beyond that it is
/// delivered as it comes.
const MOST_HELD: usize = 32 << 20;
/// How much of an error's body is read, and for how long.
const MOST_OF_AN_ERROR: usize = 64 << 10;
const ERROR_BODY_TIME: Duration = Duration::from_secs(1);
/// How long, and how far, a finished connection is read on so that it can be
/// used again.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// What the client asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expect {
    pub operation: Operation,
    pub stream: bool,
    /// Choices asked for (`n`).
    pub choices: u32,
    /// Whether the client asked for a usage chunk at the end of the stream.
    pub usage: bool,
    /// Unix time, for the dates in headers.
    pub unix_now: Duration,
}

/// What happened to the attempt.
#[derive(Debug)]
pub enum Report {
    /// The status line and headers of a success.
    Headers(Box<Headers>),
    /// Events of a stream, in order; whatever arrived at once.
    Pieces(Vec<Piece>),
    /// A complete answer.
    Whole(Bytes, Box<Whole>),
    /// Part of a whole answer that is too large to be held.
    Overflow(Bytes),
    /// The end. Said once, last.
    Ended(Outcome, Option<ErrorBody>),
}

/// What a success says before its body.
#[derive(Debug)]
pub struct Headers {
    /// Those that may be handed on.
    pub forwarded: HeaderMap,
    pub requests_left: Option<u32>,
    pub tokens_left: Option<u32>,
}

/// One event of a stream.
#[derive(Debug)]
pub struct Piece {
    pub frame: Frame,
    pub part: Part,
}

/// A provider's error as it came, credentials cut out.
#[derive(Clone, Debug)]
pub struct ErrorBody {
    pub content_type: Option<http::HeaderValue>,
    pub body: Bytes,
}

type Sending = Pin<Box<dyn Future<Output = reqwest::Result<Response>> + Send>>;

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
    content_seen: bool,
}

/// See the module.
pub struct Attempt {
    endpoint: Endpoint,
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
    pub fn new(endpoint: &Endpoint, expect: Expect, forwarded: &HeaderMap, body: Bytes) -> Self {
        let request = endpoint.request(expect.operation, forwarded, body);
        let sending = endpoint.client().execute(request);
        Self {
            endpoint: endpoint.clone(),
            expect,
            state: State::Sending(Box::pin(sending)),
            queue: VecDeque::new(),
            answered: None,
        }
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
                State::Sending(sending) => match ready!(sending.as_mut().poll(cx)) {
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
        let forwarded =
            headers::forward_response_headers(&head.headers, self.endpoint.secret().as_slice());
        let headers = Headers { forwarded, requests_left, tokens_left };
        self.queue.push_back(Report::Headers(Box::new(headers)));
        let is_document = content_type
            .as_deref()
            .is_some_and(|t| t.starts_with("application/json") || t.starts_with("text/html"));
        self.state = if self.expect.stream && !is_document {
            State::Stream(Box::new(Streaming {
                body,
                framer: Framer::new(sse::DEFAULT_FRAME_LIMIT),
                reader: self.endpoint.dialect().reader(self.expect.choices),
                content_seen: false,
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
        let dialect = self.endpoint.dialect();
        let secrets = self.endpoint.secret();
        let secrets = secrets.as_slice();
        let reply =
            dialect.error_reply(status.as_u16(), &headers, &read, self.expect.unix_now, secrets);
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
        let body = read.freeze();
        let dialect = self.endpoint.dialect();
        let secrets = self.endpoint.secret();
        let content_type = content_type.as_deref();
        match dialect.read_whole(self.expect.operation, content_type, &body, secrets.as_slice()) {
            Err(outcome) => self.end(outcome),
            Ok(whole) if self.expect.stream => {
                let frames = dialect.whole_as_stream(&body, self.expect.usage);
                let mut reader = dialect.reader(self.expect.choices);
                let pieces = frames.into_iter().map(|frame| {
                    let part = reader.read(&frame, secrets.as_slice());
                    Piece { frame, part }
                });
                self.queue.push_back(Report::Pieces(pieces.collect()));
                self.answered = Some(whole.answer);
                self.end(Outcome::Completed);
            }
            Ok(whole) => {
                self.queue.push_back(Report::Whole(body, Box::new(whole)));
                self.end(Outcome::Completed);
            }
        }
    }

    fn overflow(&mut self) {
        let State::Whole { body, read, .. } = std::mem::replace(&mut self.state, State::Over)
        else {
            return;
        };
        if self.expect.stream {
            let detail = "a document where a stream was asked for, too large to be turned into one";
            return self.end(Outcome::NotAnAnswer { detail: detail.to_owned() });
        }
        self.queue.push_back(Report::Overflow(read.freeze()));
        self.state = State::Overflowing { body };
    }

    /// Reads the events in what arrived.
    fn streamed(&mut self, data: Bytes) {
        let State::Stream(streaming) = &mut self.state else { return };
        let secrets = self.endpoint.secret();
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
            let part = streaming.reader.read(&frame, secrets.as_slice());
            streaming.content_seen |= matches!(part, Part::Content(_) | Part::Finish(_));
            outcome = streaming.end_of(&part);
            pieces.push(Piece { frame, part });
        }
        if !pieces.is_empty() {
            self.queue.push_back(Report::Pieces(pieces));
        }
        if let Some(outcome) = outcome {
            self.stream_over(outcome);
        }
    }

    fn stream_ended(&mut self, broken: Option<String>) {
        let secrets = self.endpoint.secret();
        let State::Stream(streaming) = &mut self.state else { return };
        let last = streaming.last_frame().map(|frame| {
            let part = streaming.reader.read(&frame, secrets.as_slice());
            (streaming.end_of(&part), Piece { frame, part })
        });
        // Half an event says nothing; a whole one without its blank line does.
        if let Some((end, piece)) = last
            && !matches!(piece.part, Part::Malformed { .. })
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
            Part::Done if self.content_seen => Some(Outcome::Completed),
            Part::Done => Some(Outcome::NotAnAnswer { detail: "an empty stream".to_owned() }),
            Part::Error(reply) => Some(Outcome::Error(reply.clone())),
            Part::Malformed { detail } => Some(Outcome::Malformed { detail: detail.clone() }),
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
