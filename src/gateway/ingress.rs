//! From a request to a call: who asks, for what, on which route. Everything
//! that is refused here is refused before any provider is asked.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::Shared;
use super::driver::{Driver, Setup, Witness};
use super::generation::{Admitted, Generation, LiveRoute, LiveTarget};
use super::inquiry::Inquiry;
use super::relay::Relay;
use super::reply::{self, ReplyBody, Stamp};
use super::shadow::ShadowOfCall;
use crate::dialect::door::{self, Closed, Door};
use crate::dialect::{Address, BadRequest, Dialect, ErrorOut, Task};
use crate::failover::Call;
use crate::upstream::Asked;

/// A request that goes no further.
#[derive(Debug)]
struct Rejected {
    status: u16,
    code: String,
    message: String,
    retry_after: Option<Duration>,
    param: Option<&'static str>,
    /// Nothing was tried for it, and the next time it may be.
    try_again: bool,
}

impl Rejected {
    fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            retry_after: None,
            param: None,
            try_again: false,
        }
    }
}

impl From<BadRequest> for Rejected {
    fn from(bad: BadRequest) -> Self {
        Self { param: bad.param, ..Self::new(400, bad.code, bad.message) }
    }
}

/// Serves one request.
pub async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Response<ReplyBody> {
    let trace = shared.new_id();
    let dialect = door::dialect_of(request.uri().path(), request.headers());
    match handle(&shared, request, &trace).await {
        Ok(response) => response,
        Err(rejected) => {
            let error = ErrorOut {
                status: rejected.status,
                code: &rejected.code,
                message: &rejected.message,
                param: rejected.param,
                retry_after: rejected.retry_after,
                trace: &trace,
                attempts: &[],
            };
            let mut response = reply::error(dialect, &error, &Stamp::of_none(trace.clone()));
            if rejected.try_again {
                reply::invite(&mut response);
            }
            response
        }
    }
}

async fn handle(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    trace: &str,
) -> Result<Response<ReplyBody>, Rejected> {
    let (uri, headers) = (request.uri(), request.headers());
    let door = door::door(request.method(), uri.path(), uri.query(), headers)
        .map_err(|closed| shut(closed, request.method(), uri.path()))?;
    let generation = shared.generation();
    let stamp = || Stamp::of_none(trace.to_owned());
    if door == Door::Root {
        return Ok(reply::json(StatusCode::OK, Bytes::from_static(b"{}"), &stamp()));
    }
    let key = presented_key(headers, uri.query());
    let tenant = match generation.clients.admit(key.as_deref()) {
        Admitted::Anyone => None,
        Admitted::Client(name) => Some(name),
        Admitted::No => {
            return Err(Rejected::new(
                401,
                "invalid_api_key",
                "no client of this gateway has the key that was presented",
            ));
        }
    };
    let created = shared.clock.origin_unix();
    match door {
        Door::Task { dialect, task, address } => {
            let ask = Ask { dialect, task, address, tenant };
            complete(shared, generation, request, trace, ask).await
        }
        Door::Models(dialect) => {
            let names: Vec<_> = generation.routes.keys().map(String::as_str).collect();
            Ok(reply::json(StatusCode::OK, dialect.models_list(&names, created), &stamp()))
        }
        Door::Model(dialect, name) => {
            if generation.route(&name).is_none() {
                return Err(no_route(&name));
            }
            let model = dialect.model(&name, created);
            Ok(reply::json(StatusCode::OK, model, &stamp()))
        }
        Door::Root => Ok(reply::json(StatusCode::OK, Bytes::from_static(b"{}"), &stamp())),
    }
}

/// Why a path or a method is refused.
fn shut(closed: Closed, method: &Method, path: &str) -> Rejected {
    let path = shortened(path);
    match closed {
        Closed::NoSuchPath => {
            let message = format!(
                "no such path: {path}; there are POST /v1/chat/completions, /v1/responses, \
                 /v1/embeddings, /v1/messages and /v1beta/models/MODEL:generateContent, and GET \
                 /v1/models"
            );
            Rejected::new(404, "not_found", message)
        }
        Closed::Method(wanted) => {
            let message = format!("{path} takes {wanted}, not {method}");
            Rejected::new(405, "method_not_allowed", message)
        }
    }
}

fn no_route(model: &str) -> Rejected {
    let message = format!(
        "no route for the model {:?}; GET /v1/models lists those there are",
        shortened(model)
    );
    Rejected::new(404, "model_not_found", message)
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// `Authorization: Bearer`, the key headers of other SDKs, or Gemini's `?key=`.
fn presented_key<'a>(headers: &'a HeaderMap, query: Option<&str>) -> Option<Cow<'a, [u8]>> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let value = value.as_bytes();
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
    });
    let other = ["x-api-key", "api-key", "x-goog-api-key"];
    let other = other.into_iter().find_map(|name| headers.get(name));
    let key = bearer.or_else(|| other.map(http::HeaderValue::as_bytes)).map(Cow::Borrowed);
    key.or_else(|| door::query_value(query, "key").map(|key| Cow::Owned(key.into_bytes())))
}

/// What is asked, and by whom.
struct Ask {
    dialect: Dialect,
    task: Task,
    address: Address,
    tenant: Option<String>,
}

async fn complete(
    shared: &Arc<Shared>,
    generation: Arc<Generation>,
    request: Request<Incoming>,
    trace: &str,
    ask: Ask,
) -> Result<Response<ReplyBody>, Rejected> {
    let Some(place) = shared.enter(generation.config.server.max_concurrent_calls as usize) else {
        let mut rejected =
            Rejected::new(503, "gateway_full", "too many calls are under way in this gateway");
        rejected.retry_after = Some(Duration::from_secs(1));
        rejected.try_again = true;
        return Err(rejected);
    };
    let (head, body) = request.into_parts();
    if head.headers.get(header::CONTENT_ENCODING).is_some_and(|v| v != "identity") {
        return Err(Rejected::new(415, "unsupported_encoding", "send the body uncompressed"));
    }
    let server = &generation.config.server;
    let body = read_body(body, server.max_body, server.body_timeout).await?;
    let Ask { dialect, task, address, tenant } = ask;
    let peek = dialect.peek(task, &body, &address)?;
    let route = generation.route(&peek.model).cloned().ok_or_else(|| no_route(&peek.model))?;
    let headers = head.headers;
    let inquiry = Inquiry { dialect, task, address, headers, body, peek, tenant };
    if let Some(estimate) = own_count(&inquiry, &route) {
        let mut response = reply::json(StatusCode::OK, estimate, &Stamp::of_none(trace.to_owned()));
        response.headers_mut().insert(reply::ESTIMATED, HeaderValue::from_static("true"));
        return Ok(response);
    }
    let (reply_to, reply) = oneshot::channel();
    let relay = Relay::new(dialect, reply_to, server.stream_buffer);
    let setup = setup(shared, generation, route, inquiry, relay, trace);
    tokio::spawn(async move {
        Driver::new(setup).run().await;
        drop(place);
    });
    reply
        .await
        .map_err(|_| Rejected::new(500, "internal_error", "the call ended without an answer"))
}

/// A count of tokens where no target of the route can count for this client.
fn own_count(inquiry: &Inquiry, route: &LiveRoute) -> Option<Bytes> {
    let asked = |wire| Asked { wire, task: Task::CountTokens, stream: false };
    let counts = |target: &LiveTarget| {
        let wire = target.endpoint.wire(inquiry.dialect);
        wire == inquiry.dialect && target.endpoint.has(asked(wire))
    };
    if inquiry.task != Task::CountTokens || route.targets.iter().any(counts) {
        return None;
    }
    Some(inquiry.dialect.token_count(inquiry.peek.input_tokens))
}

/// Who looks on: the journal, and the route's shadow.
fn witness(
    shared: &Arc<Shared>,
    generation: &Generation,
    route: &LiveRoute,
    body_bytes: usize,
) -> Witness {
    let shadow = route.shadow.as_ref().map(|record| ShadowOfCall {
        shared: Arc::clone(shared),
        policy: shared.library.current().policy(&record.policy),
        record: Arc::clone(record),
        cooldown_max: route.rules.rules.cooldown_max,
        body_bytes,
    });
    Witness::new(generation.journal.clone(), shadow)
}

fn setup(
    shared: &Arc<Shared>,
    generation: Arc<Generation>,
    route: Arc<LiveRoute>,
    inquiry: Inquiry,
    relay: Relay,
    trace: &str,
) -> Setup {
    let policy = shared.deciders(&route, trace);
    let witness = witness(shared, &generation, &route, inquiry.body.len());
    let exposed = &generation.config.server.expose_headers;
    let labels = exposed.iter().filter_map(|name| {
        let value = inquiry.headers.get(name)?.to_str().ok()?;
        Some((name.clone(), value.to_owned()))
    });
    let call = Call {
        id: trace.to_owned(),
        model: inquiry.peek.model.clone(),
        operation: inquiry.task.operation(inquiry.dialect),
        needs: inquiry.peek.needs,
        input_tokens: inquiry.peek.input_tokens,
        max_output_tokens: inquiry.peek.max_output_tokens,
        tenant: inquiry.tenant.clone(),
        labels: labels.collect(),
        origin_unix: shared.clock.origin_unix(),
        seed: shared.new_seed(),
        own_policy: policy.own.is_some(),
    };
    Setup {
        shared: Arc::clone(shared),
        generation,
        route,
        policy: policy.own,
        policy_tag: policy.tag,
        inquiry: Arc::new(inquiry),
        call: Arc::new(call),
        relay,
        witness,
        part: policy.part,
    }
}

/// The whole body, within its limit in bytes and in time between two reads.
async fn read_body(mut body: Incoming, most: usize, gap: Duration) -> Result<Bytes, Rejected> {
    let too_large =
        || Rejected::new(413, "request_too_large", format!("the body is larger than {most} bytes"));
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let mut read = BytesMut::new();
    let mut first = Bytes::new();
    loop {
        let frame = tokio::time::timeout(gap, body.frame()).await.map_err(|_| {
            Rejected::new(408, "request_timeout", "the rest of the body did not arrive in time")
        })?;
        let data = match frame {
            None => break,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(_)) => {
                return Err(Rejected::new(400, "incomplete_body", "the body broke off"));
            }
        };
        if read.len() + first.len() + data.len() > most {
            return Err(too_large());
        }
        // Most bodies arrive at once and need no second buffer.
        if first.is_empty() && read.is_empty() {
            first = data;
        } else {
            read.extend_from_slice(&std::mem::take(&mut first));
            read.extend_from_slice(&data);
        }
    }
    Ok(if read.is_empty() { first } else { read.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_sdks_put_them() {
        for (name, value, expected) in [
            ("authorization", "Bearer k1", Some("k1")),
            ("authorization", "bearer  k1 ", Some("k1")),
            ("authorization", "Basic k1", Some("k6")),
            ("authorization", "short", Some("k6")),
            ("x-api-key", "k2", Some("k2")),
            ("api-key", "k3", Some("k3")),
            ("x-goog-api-key", "k4", Some("k4")),
            ("cookie", "k5", Some("k6")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a header value"));
            let found = presented_key(&headers, Some("alt=sse&key=k6"));
            let found = found.map(|key| String::from_utf8(key.into_owned()).expect("text"));
            assert_eq!(found.as_deref(), expected, "{name}: {value}");
        }
    }
}
