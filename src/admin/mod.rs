//! What is seen from outside, on a listener of its own: liveness, readiness,
//! status, policies, decision traces. It shows what the others publish and
//! changes nothing, but for what an operator commands: a policy's rollback.

pub mod client;
mod policies;
mod status;
mod visitor;
mod watching;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::visitor::{Refusal, Visitor};
use crate::gateway::Shared;

const PATHS: &str = "/livez, /readyz, /status, /policies, /traces, /traces/{id}, /shadow, \
                      /shadow/{route}; and for POST /policies/{name}/rollback";
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How many traces a list shows.
const MOST_LISTED: usize = 1_000;

/// Serves until the task is dropped. `/readyz` says no until the policies that
/// were there at the start are loaded, and after `stop`.
pub async fn serve(shared: Arc<Shared>, listener: TcpListener, stop: watch::Receiver<bool>) {
    let view = Arc::new(View { shared, stop });
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let view = Arc::clone(&view);
        let service = service_fn(move |request| {
            let view = Arc::clone(&view);
            async move { Ok::<_, Infallible>(view.answer(&request, peer)) }
        });
        tokio::spawn(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

struct View {
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
}

impl View {
    fn answer(&self, request: &Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        match (policies::to_roll_back(path), request.method()) {
            (Some(name), &Method::POST) => return self.roll_back(name, request, peer),
            (Some(_), _) => return document(405, &json!({ "error": "a command: use POST" })),
            (None, &Method::GET | &Method::HEAD) => {}
            (None, _) => {
                return document(405, &json!({ "error": "this path only shows: use GET" }));
            }
        }
        // Probes carry no token; they tell nothing but yes or no.
        match path {
            "/livez" => return document(200, &json!({ "live": true })),
            "/readyz" => return self.ready(),
            _ => {}
        }
        if let Err(refusal) = self.admit(request, peer) {
            return refusal.document();
        }
        match path {
            "/" => document(200, &json!({ "paths": PATHS })),
            "/status" => document(200, &status::status(&self.shared)),
            "/policies" => document(200, &policies::list(&self.shared)),
            "/traces" => {
                let recent = self.shared.traces.recent(MOST_LISTED);
                let list: Vec<_> = recent.iter().map(|trace| trace.summary()).collect();
                document(200, &json!({ "traces": list }))
            }
            "/shadow" => document(200, &watching::shadows(&self.shared)),
            _ => self.one(path),
        }
    }

    fn roll_back(
        &self,
        name: &str,
        request: &Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<Full<Bytes>> {
        let admitted = self.admit(request, peer).and_then(|visitor| match visitor {
            Visitor::WithToken => Ok(()),
            Visitor::WithoutToken => {
                visitor::may_command(request.headers()).map_err(Refusal::Forbidden)
            }
        });
        if let Err(refusal) = admitted {
            return refusal.document();
        }
        let (status, answer) = policies::roll_back(&self.shared, name);
        document(status, &answer)
    }

    /// One of several things that have a name.
    fn one(&self, path: &str) -> Response<Full<Bytes>> {
        let trace = path.strip_prefix("/traces/").and_then(|id| self.shared.traces.find(id));
        if let Some(trace) = trace {
            return document(200, &trace.detail());
        }
        let route = path.strip_prefix("/shadow/");
        if let Some(shadow) = route.and_then(|route| watching::shadow(&self.shared, route)) {
            return document(200, &shadow);
        }
        let error = format!("nothing here; there are {PATHS}");
        document(404, &json!({ "error": error }))
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let not_ready = |reason| document(503, &json!({ "ready": false, "reason": reason }));
        if *self.stop.borrow() {
            return not_ready("draining".to_owned());
        }
        match self.shared.library.loading() {
            Some(names) => not_ready(format!("compiling policies: {}", names.join(", "))),
            None => document(200, &json!({ "ready": true, "reason": "serving" })),
        }
    }

    /// By the configuration as it is now: a token that was replaced opens nothing
    /// any more.
    fn admit(&self, request: &Request<Incoming>, peer: SocketAddr) -> Result<Visitor, Refusal> {
        visitor::admit(self.shared.generation().config.admin.as_ref(), peer, request.headers())
    }
}

impl Refusal {
    fn document(self) -> Response<Full<Bytes>> {
        let (status, reason) = match self {
            Self::Unauthorized => (401, "present the admin token: Authorization: Bearer …"),
            Self::Forbidden(reason) => (403, reason),
        };
        document(status, &json!({ "error": reason }))
    }
}

fn document(status: u16, value: &Value) -> Response<Full<Bytes>> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
