//! What the gateway itself says to a client: heads, errors, lists.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use super::outlet::{BrokenOff, OutletBody};
use crate::dialect::{Dialect, ErrorOut};
use crate::failover::Refusal;
use crate::upstream::ErrorBody;

pub const TRACE: HeaderName = HeaderName::from_static("x-backstay-trace");
pub const TARGET: HeaderName = HeaderName::from_static("x-backstay-target");
pub const ATTEMPTS: HeaderName = HeaderName::from_static("x-backstay-attempts");
pub const POLICY: HeaderName = HeaderName::from_static("x-backstay-policy");
pub const DROPPED: HeaderName = HeaderName::from_static("x-backstay-dropped");
/// A count of tokens is the gateway's own estimate.
pub const ESTIMATED: HeaderName = HeaderName::from_static("x-backstay-estimated");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Who served a response.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub trace: String,
    /// `none` if no target did.
    pub target: String,
    pub attempts: u32,
    /// Name and short digest; `none` if none was asked.
    pub policy: String,
    /// The client's fields that the target was not sent.
    pub dropped: Vec<String>,
}

impl Stamp {
    /// Of a response that was given without an exchange.
    #[must_use]
    pub fn of_none(trace: String) -> Self {
        Self {
            trace,
            target: "none".to_owned(),
            attempts: 0,
            policy: "none".to_owned(),
            dropped: Vec::new(),
        }
    }
}

/// Writes the stamp into a response's headers.
pub fn stamp(headers: &mut HeaderMap, stamp: &Stamp) {
    headers.insert(TRACE, value(&stamp.trace));
    headers.insert(TARGET, value(&stamp.target));
    headers.insert(ATTEMPTS, HeaderValue::from(stamp.attempts));
    headers.insert(POLICY, value(&stamp.policy));
    if !stamp.dropped.is_empty() {
        headers.insert(DROPPED, value(&stamp.dropped.join(", ")));
    }
}

/// Names come from the configuration and may hold any character.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| {
        let plain: String =
            text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
        HeaderValue::from_str(&plain).unwrap_or(HeaderValue::from_static("unprintable"))
    })
}

/// A response's body: there at once, or a stream.
#[derive(Debug)]
pub enum ReplyBody {
    Whole(Full<Bytes>),
    Stream(OutletBody),
}

impl ReplyBody {
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }

    #[must_use]
    pub const fn stream(body: OutletBody) -> Self {
        Self::Stream(body)
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// An error in the client's dialect.
#[must_use]
pub fn error(dialect: Dialect, error: &ErrorOut<'_>, by: &Stamp) -> Response<ReplyBody> {
    let body = dialect.error_body(error);
    let mut response = json(status(dialect.error_status(error.status)), body, by);
    let headers = response.headers_mut();
    // Whatever could be tried was tried here: clients must not multiply it.
    headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    set_retry_after(headers, error.retry_after);
    response
}

/// Nothing was tried for this call: its client may well try again.
pub fn invite(response: &mut Response<ReplyBody>) {
    response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("true"));
}

fn set_retry_after(headers: &mut HeaderMap, length: Option<Duration>) {
    if let Some(length) = length {
        let seconds = length.as_secs_f64().ceil().max(1.0);
        headers.insert(header::RETRY_AFTER, value(&format!("{seconds}")));
    }
}

/// Says that the call may be made again: elsewhere it was not tried.
pub fn invite_retry(response: &mut Response<ReplyBody>) {
    response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("true"));
}

/// A provider's own error, with the status the heart decided on.
#[must_use]
pub fn surfaced(refusal: &Refusal, original: &ErrorBody, by: &Stamp) -> Response<ReplyBody> {
    let mut response = json(status(refusal.status), original.body.clone(), by);
    let headers = response.headers_mut();
    if let Some(content_type) = &original.content_type {
        headers.insert(header::CONTENT_TYPE, content_type.clone());
    }
    headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    set_retry_after(headers, refusal.retry_after);
    response
}

/// A JSON document.
#[must_use]
pub fn json(status: StatusCode, body: Bytes, by: &Stamp) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    stamp(response.headers_mut(), by);
    response
}

/// Makes the headers of a provider's stream those of ours.
pub fn stream_headers(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

#[must_use]
pub fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::BAD_GATEWAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::{AttemptId, refusal::Cause};

    #[test]
    fn a_provider_s_own_error_says_when_to_come_back() {
        for (length, expected) in [
            (None, None),
            (Some(7_000), Some("7")),
            (Some(1_500), Some("2")),
            (Some(10), Some("1")),
        ] {
            let refusal = Refusal {
                status: 429,
                code: "rate_limit_exceeded".to_owned(),
                message: String::new(),
                param: None,
                retry_after: length.map(Duration::from_millis),
                cause: Cause::Surfaced(AttemptId(0)),
            };
            let original = ErrorBody { content_type: None, body: Bytes::from_static(b"{}") };
            let mut response = surfaced(&refusal, &original, &Stamp::of_none("bs-1".to_owned()));
            let header = |response: &Response<ReplyBody>, name: &str| {
                response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
            };
            assert_eq!(header(&response, "retry-after").as_deref(), expected, "{length:?}");
            assert_eq!(header(&response, "x-should-retry").as_deref(), Some("false"));
            invite(&mut response);
            assert_eq!(header(&response, "x-should-retry").as_deref(), Some("true"));
        }
    }
}
