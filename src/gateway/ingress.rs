//! From a request to a call: who asks, for what, on which route. Everything
//! that is refused here is refused before any provider is asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::Shared;
use super::driver::{Driver, Setup};
use super::generation::{Admitted, Generation, LiveRoute};
use super::inquiry::Inquiry;
use super::relay::Relay;
use super::reply::{self, ReplyBody, Stamp};
use crate::dialect::{BadRequest, Dialect, ErrorOut};
use crate::failover::{Call, Operation};

/// What a path asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Endpoint {
    Complete(Operation),
    Models,
    /// Some clients look whether anyone is there.
    Root,
}

/// A request that goes no further.
#[derive(Debug)]
struct Rejected {
    status: u16,
    code: String,
    message: String,
    retry_after: Option<Duration>,
    param: Option<&'static str>,
}

impl Rejected {
    fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            retry_after: None,
            param: None,
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
    let dialect = Dialect::OpenAi;
    match handle(&shared, request, &trace, dialect).await {
        Ok(response) => response,
        Err(rejected) => {
            let error = ErrorOut {
                status: rejected.status,
                kind: reply::kind(rejected.status),
                code: &rejected.code,
                message: &rejected.message,
                param: rejected.param,
                trace: &trace,
                attempts: &[],
            };
            let stamp = Stamp::of_none(trace.clone());
            reply::error(dialect, &error, rejected.retry_after, &stamp)
        }
    }
}

async fn handle(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    trace: &str,
    dialect: Dialect,
) -> Result<Response<ReplyBody>, Rejected> {
    let endpoint = endpoint(request.method(), request.uri().path())?;
    let generation = shared.generation();
    let stamp = || Stamp::of_none(trace.to_owned());
    if endpoint == Endpoint::Root {
        return Ok(reply::json(StatusCode::OK, Bytes::from_static(b"{}"), &stamp()));
    }
    let tenant = match generation.clients.admit(presented_key(request.headers())) {
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
    match endpoint {
        Endpoint::Complete(operation) => {
            complete(shared, generation, request, trace, Ask { dialect, operation, tenant }).await
        }
        Endpoint::Models => {
            let names: Vec<_> = generation.routes.keys().map(String::as_str).collect();
            let list = dialect.models_list(&names, shared.clock.origin_unix());
            Ok(reply::json(StatusCode::OK, list, &stamp()))
        }
        Endpoint::Root => Ok(reply::json(StatusCode::OK, Bytes::from_static(b"{}"), &stamp())),
    }
}

/// Authorisation and routing read the URI's path alone, never `Host`.
fn endpoint(method: &Method, path: &str) -> Result<Endpoint, Rejected> {
    let (wanted, endpoint) = match path {
        "/v1/chat/completions" => (Method::POST, Endpoint::Complete(Operation::Chat)),
        "/v1/embeddings" => (Method::POST, Endpoint::Complete(Operation::Embeddings)),
        "/v1/models" => (Method::GET, Endpoint::Models),
        "/" => (Method::GET, Endpoint::Root),
        _ => {
            let message = format!(
                "no such path: {}; there are POST /v1/chat/completions, POST /v1/embeddings and GET /v1/models",
                shortened(path)
            );
            return Err(Rejected::new(404, "not_found", message));
        }
    };
    let matches = *method == wanted || (wanted == Method::GET && *method == Method::HEAD);
    if matches {
        return Ok(endpoint);
    }
    let message = format!("{} takes {wanted}, not {method}", shortened(path));
    Err(Rejected::new(405, "method_not_allowed", message))
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// `Authorization: Bearer`, or the key headers of other SDKs.
fn presented_key(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let value = value.as_bytes();
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
    });
    let other = ["x-api-key", "api-key"].into_iter().find_map(|name| headers.get(name));
    bearer.or_else(|| other.map(http::HeaderValue::as_bytes))
}

/// What is asked, and by whom.
struct Ask {
    dialect: Dialect,
    operation: Operation,
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
        return Err(rejected);
    };
    let (head, body) = request.into_parts();
    if head.headers.get(header::CONTENT_ENCODING).is_some_and(|v| v != "identity") {
        return Err(Rejected::new(415, "unsupported_encoding", "send the body uncompressed"));
    }
    let server = &generation.config.server;
    let body = read_body(body, server.max_body, server.body_timeout).await?;
    let peek = ask.dialect.peek(ask.operation, &body)?;
    let route = generation.routes.get(&*peek.model).cloned().ok_or_else(|| {
        let message = format!(
            "no route for the model {:?}; GET /v1/models lists those there are",
            shortened(&peek.model)
        );
        Rejected::new(404, "model_not_found", message)
    })?;
    let Ask { dialect, operation, tenant } = ask;
    let inquiry = Inquiry { dialect, operation, headers: head.headers, body, peek, tenant };
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

fn setup(
    shared: &Arc<Shared>,
    generation: Arc<Generation>,
    route: Arc<LiveRoute>,
    inquiry: Inquiry,
    relay: Relay,
    trace: &str,
) -> Setup {
    let policy = shared.policy_for(&route.policy);
    let exposed = &generation.config.server.expose_headers;
    let labels = exposed.iter().filter_map(|name| {
        let value = inquiry.headers.get(name)?.to_str().ok()?;
        Some((name.clone(), value.to_owned()))
    });
    let call = Call {
        id: trace.to_owned(),
        model: inquiry.peek.model.clone(),
        operation: inquiry.operation,
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
    fn paths_and_methods() {
        for (method, path, expected) in [
            (Method::POST, "/v1/chat/completions", Ok(Endpoint::Complete(Operation::Chat))),
            (Method::POST, "/v1/embeddings", Ok(Endpoint::Complete(Operation::Embeddings))),
            (Method::GET, "/v1/models", Ok(Endpoint::Models)),
            (Method::HEAD, "/", Ok(Endpoint::Root)),
            (Method::GET, "/v1/chat/completions", Err(405)),
            (Method::POST, "/v1/models", Err(405)),
            (Method::GET, "/status", Err(404)),
            (Method::POST, "/v1/chat/completions/", Err(404)),
        ] {
            let found = endpoint(&method, path).map_err(|rejected| rejected.status);
            assert_eq!(found, expected, "{method} {path}");
        }
    }

    #[test]
    fn keys_are_found_where_sdks_put_them() {
        for (name, value, expected) in [
            ("authorization", "Bearer k1", Some("k1")),
            ("authorization", "bearer  k1 ", Some("k1")),
            ("authorization", "Basic k1", None),
            ("authorization", "short", None),
            ("x-api-key", "k2", Some("k2")),
            ("api-key", "k3", Some("k3")),
            ("cookie", "k4", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a header value"));
            let found = presented_key(&headers).map(|key| str::from_utf8(key).expect("text"));
            assert_eq!(found, expected, "{name}: {value}");
        }
    }
}
