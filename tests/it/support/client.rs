//! A client of the gateway: a connection of its own for every call, and all of
//! the answer kept for the checks.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Beyond this nothing that a test waits for will come any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Whether the body ended as HTTP wants it to.
    pub complete: bool,
    pub took: Duration,
}

/// An answer under way. Dropped, its connection is closed at once.
#[derive(Debug)]
pub struct Open {
    pub status: u16,
    pub headers: HeaderMap,
    body: Incoming,
    asked: Instant,
    connection: JoinHandle<()>,
}

pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Waits, but not for ever.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("{what}: nothing within {PATIENCE:?}"))
}

/// A chat call with one user message.
pub fn chat(model: &str, prompt: &str, stream: bool) -> Value {
    json!({
        "model": model,
        "messages": [{ "role": "user", "content": prompt }],
        "stream": stream,
    })
}

/// A request to the endpoint for chats.
pub fn request(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    request_to(Method::POST, "/v1/chat/completions", body)
}

pub fn request_to(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.header("content-type", "application/json");
    request.body(Full::new(body.into())).unwrap()
}

/// Asks and reads the answer to its end.
pub async fn ask(addr: SocketAddr, call: &Value) -> Reply {
    exchange(addr, request(call.to_string())).await
}

pub async fn exchange(addr: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    let what = format!("{} {}", request.method(), request.uri());
    within(&what, async { open(addr, request).await.rest().await }).await
}

pub async fn get(addr: SocketAddr, path: &str) -> Reply {
    exchange(addr, request_to(Method::GET, path, "")).await
}

/// Asks and reads the head of the answer.
pub async fn open(addr: SocketAddr, request: Request<Full<Bytes>>) -> Open {
    let asked = now();
    let socket = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    let connection = tokio::spawn(async move {
        // How the connection ends shows in the answer's body.
        let _end = connection.await;
    });
    let response = sender.send_request(request).await.unwrap();
    Open::new(response, asked, connection)
}

impl Open {
    fn new(response: Response<Incoming>, asked: Instant, connection: JoinHandle<()>) -> Self {
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        Self { status, headers: head.headers, body, asked, connection }
    }

    /// The next bytes of the body; `None` at its end, proper or not.
    pub async fn next(&mut self) -> Option<Bytes> {
        let frame = within("the next bytes", self.body.frame()).await?;
        Some(frame.ok()?.into_data().unwrap_or_default())
    }

    /// Reads until `text` has come.
    pub async fn until(&mut self, text: &str) -> Vec<u8> {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(text) {
            let bytes = self.next().await;
            read.extend_from_slice(&bytes.unwrap_or_else(|| {
                panic!("it ended without {text:?}: {}", String::from_utf8_lossy(&read))
            }));
        }
        read
    }

    pub async fn rest(mut self) -> Reply {
        let mut body = Vec::new();
        let complete = loop {
            match self.body.frame().await {
                None => break true,
                Some(Ok(frame)) => body.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) => break false,
            }
        };
        let took = self.asked.elapsed();
        Reply { status: self.status, headers: self.headers.clone(), body, complete, took }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends these bytes on a connection of their own.
pub async fn raw(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    socket
}

/// All that comes until the connection ends.
pub async fn read_all(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends it as well.
    let _end = within("the end of the connection", socket.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `text` has come.
pub async fn read_until(socket: &mut TcpStream, text: &str) -> String {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(text) {
        let read = within(text, socket.read_buf(&mut bytes)).await.unwrap();
        assert!(read > 0, "it ended without {text:?}: {}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
