//! Each fault of the fake provider, as it is on the wire: a raw client reads
//! the bytes and sees how the connection ends.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "helpers fail like tests; real sockets need the real clock"
)]

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use backstay::fake::{Behaviour, Options, Server, answer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// So long without a byte, and a connection counts as left open. Only rows that
/// expect this wait so long, and all rows wait at once.
const QUIET: Duration = Duration::from_secs(1);
/// Beyond this an answer is not read on.
const MAX_BYTES: usize = 12_000_000;
/// So much of an endless answer is enough to see that it goes on.
const ENOUGH_BYTES: usize = 1_500;

struct Raw {
    bytes: Vec<u8>,
    end: &'static str,
}

async fn exchange(addr: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Raw {
    let mut socket = send(addr, method, path, headers, body).await;
    read_to_end(&mut socket, MAX_BYTES).await
}

async fn send(addr: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: fake\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

async fn read_to_end(socket: &mut TcpStream, enough: usize) -> Raw {
    let mut bytes = Vec::new();
    let end = loop {
        match timeout(QUIET, socket.read_buf(&mut bytes)).await {
            Err(_) => break "open",
            Ok(Ok(0)) => break "fin",
            Ok(Ok(_)) if bytes.len() > enough => break "endless",
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => break "reset",
            Ok(Err(error)) => panic!("{error}"),
        }
    };
    Raw { bytes, end }
}

async fn chat(addr: SocketAddr, headers: &str, body: &Value) -> Raw {
    exchange(addr, "POST", "/v1/chat/completions", headers, &body.to_string()).await
}

fn question(model: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "hi" }] })
}

impl Raw {
    fn head(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        text.split("\r\n\r\n").next().unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> Option<String> {
        let head = self.head();
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }

    /// The body without its framing, and whether it is all there.
    fn body(&self) -> (Vec<u8>, &'static str) {
        let rest = &self.bytes[(self.head().len() + 4).min(self.bytes.len())..];
        let Some(length) = self.header("content-length") else { return dechunked(rest) };
        let complete = length.parse() == Ok(rest.len());
        (rest.to_vec(), if complete { "complete" } else { "cut" })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body().0).unwrap_or_default()
    }

    /// One line that tells apart all that a client can tell apart.
    fn summary(&self) -> String {
        if !self.bytes.starts_with(b"HTTP/1.1 ") {
            return format!("{} bytes {}", self.bytes.len().min(1), self.end);
        }
        let status = &self.head()[9..12];
        let kind = self.header("content-type").unwrap_or_default();
        let kind = kind.split([';', '/']).nth(1).unwrap_or_default().to_owned();
        let (body, framing) = self.body();
        let said = match kind.as_str() {
            "event-stream" => Said::in_stream(&String::from_utf8_lossy(&body)),
            _ => Said::in_json(&body),
        };
        format!("{status} {kind}{} {framing} {}", said.summary(), self.end)
    }
}

fn dechunked(mut rest: &[u8]) -> (Vec<u8>, &'static str) {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return (body, "cut");
        };
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let Ok(size) = usize::from_str_radix(size, 16) else { return (body, "misframed") };
        if rest.len() < line + 2 + size + 2 {
            return (body, "cut");
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
        if size == 0 {
            assert_eq!(rest, b"", "nothing after the last chunk");
            return (body, "complete");
        }
    }
}

/// What an answer says, once its framing is gone.
#[derive(Default)]
struct Said {
    text: String,
    arguments: String,
    marks: Vec<String>,
}

impl Said {
    fn in_json(body: &[u8]) -> Self {
        let mut said = Self::default();
        match serde_json::from_slice(body) {
            Ok(value) => said.take(&value, "message"),
            Err(_) if body.is_empty() => said.mark("empty"),
            Err(_) => said.mark("broken"),
        }
        said
    }

    fn in_stream(body: &str) -> Self {
        let mut said = Self::default();
        for event in body.split_inclusive("\n\n") {
            let data = event.strip_prefix("data: ");
            match data.map(|data| (data, serde_json::from_str(data))) {
                None => said.mark("comment"),
                Some(("[DONE]\n\n", _)) => said.mark("done"),
                Some((_, Ok(value))) => said.take(&value, "delta"),
                Some((_, Err(_))) => said.mark("broken"),
            }
        }
        said
    }

    fn take(&mut self, value: &Value, member: &str) {
        if let Some(code) = value["error"]["code"].as_str() {
            self.mark(code);
        }
        let choice = &value["choices"][0];
        self.text.push_str(choice[member]["content"].as_str().unwrap_or_default());
        let function = &choice[member]["tool_calls"][0]["function"];
        self.arguments.push_str(function["arguments"].as_str().unwrap_or_default());
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.mark(reason);
        }
        if value["usage"].is_object() && member == "delta" {
            self.mark("usage");
        }
    }

    fn mark(&mut self, mark: &str) {
        if self.marks.last().is_none_or(|last| last != mark || mark == "stop") {
            self.marks.push(mark.to_owned());
        }
    }

    fn summary(&self) -> String {
        let count = self.text.split(' ').filter(|word| !word.is_empty()).count();
        let mut text = match count {
            0 => String::new(),
            _ if self.text == answer("hi", count) => format!(" {count}w"),
            _ => " other".to_owned(),
        };
        if !self.arguments.is_empty() {
            let whole = serde_json::from_str::<Value>(&self.arguments).is_ok();
            text.push_str(if whole { " call" } else { " half-call" });
        }
        for mark in &self.marks {
            text.push(' ');
            text.push_str(mark);
        }
        text
    }
}

fn start(spec: &str) -> Server {
    let behaviour = Behaviour::parse(spec).unwrap();
    Server::start(Options { behaviour, ..Options::default() }).unwrap()
}

async fn check(server: &Server, spec: &str, stream: bool, expected: &str) {
    let enough = if expected.ends_with("endless") { ENOUGH_BYTES } else { MAX_BYTES };
    let summary = async |server: &Server, model: &str| {
        let body = question(model, stream).to_string();
        let mut socket = send(server.addr(), "POST", "/v1/chat/completions", "", &body).await;
        read_to_end(&mut socket, enough).await.summary()
    };
    // Picked by model name, and as the server's own behaviour.
    let own = start(&format!("words=6+{spec}"));
    let model = format!("m!{spec}");
    let seen = futures_util::future::join(summary(server, &model), summary(&own, "m")).await;
    assert_eq!(seen, (expected.to_owned(), expected.to_owned()), "{spec}, stream: {stream}");
}

/// Faults, and what a client sees of a stream and of a whole answer.
const ROWS: &[(&str, &str, &str)] = &[
    ("ok", "200 event-stream 6w stop done complete fin", "200 json 6w stop complete fin"),
    ("429", "429 json rate_limit_exceeded complete fin", ""),
    ("500", "500 json server_error complete fin", ""),
    ("503", "503 json server_is_overloaded complete fin", ""),
    ("529", "529 json overloaded complete fin", ""),
    ("402", "402 json payment_required complete fin", ""),
    ("403", "403 json unsupported_country_region_territory complete fin", ""),
    ("404", "404 json model_not_found complete fin", ""),
    ("418", "418 json invalid_request complete fin", ""),
    ("quota", "429 json insufficient_quota complete fin", ""),
    ("bad-request", "400 json invalid_value complete fin", ""),
    ("context-length", "400 json context_length_exceeded complete fin", ""),
    ("content-filter", "400 json content_filter complete fin", ""),
    ("unauthorized", "401 json invalid_api_key complete fin", ""),
    ("big-error", "500 json server_error complete fin", ""),
    ("dribble-error:5ms", "500 json broken cut endless", ""),
    ("reset", "0 bytes reset", ""),
    ("close", "0 bytes fin", ""),
    ("silence", "0 bytes open", ""),
    ("garbage", "1 bytes fin", ""),
    ("headers-only", "200 event-stream cut open", "200 json empty cut open"),
    (
        "huge-header:100KB",
        "200 event-stream 6w stop done complete fin",
        "200 json 6w stop complete fin",
    ),
    ("redirect", "307 plain empty complete fin", ""),
    ("error-body", "200 json overloaded complete fin", ""),
    ("empty-body", "200 event-stream complete fin", "200 json empty complete fin"),
    ("html-502", "502 html broken complete fin", ""),
    ("html-200", "200 html broken complete fin", ""),
    ("short-body", "200 event-stream 3w cut fin", "200 json broken cut fin"),
    ("truncated-json", "200 event-stream 3w broken complete fin", "200 json broken complete fin"),
    ("json-for-stream", "200 json 6w stop complete fin", ""),
    ("cut-reset:2", "200 event-stream 2w cut reset", "200 json broken cut reset"),
    ("cut-reset:0", "200 event-stream cut reset", "200 json broken cut reset"),
    ("cut-clean:2", "200 event-stream 2w complete fin", "200 json broken complete fin"),
    ("cut-fin:2", "200 event-stream 2w cut fin", "200 json broken cut fin"),
    ("stall:2", "200 event-stream 2w cut open", "200 json broken cut open"),
    (
        "malformed:2",
        "200 event-stream 6w broken stop done complete fin",
        "200 json broken complete fin",
    ),
    ("bad-chunking:2", "200 event-stream 2w misframed fin", "200 json broken misframed fin"),
    ("error-first", "200 event-stream overloaded complete fin", "200 json overloaded complete fin"),
    (
        "error-mid:2",
        "200 event-stream 2w overloaded complete fin",
        "200 json overloaded complete fin",
    ),
    ("no-done", "200 event-stream 6w stop complete fin", "200 json 6w stop complete fin"),
    ("no-done:open", "200 event-stream 6w stop cut open", "200 json 6w stop complete fin"),
    ("empty-stream", "200 event-stream complete fin", "200 json empty complete fin"),
    ("comments:5ms", "200 event-stream comment cut endless", "200 json broken cut endless"),
    ("trickle:5ms", "200 event-stream other cut endless", "200 json broken cut endless"),
    ("empty-answer", "200 event-stream stop done complete fin", "200 json stop complete fin"),
    (
        "filtered:2",
        "200 event-stream 2w content_filter done complete fin",
        "200 json 2w content_filter complete fin",
    ),
    ("length:2", "200 event-stream 2w length done complete fin", "200 json 2w length complete fin"),
    (
        "tool-calls",
        "200 event-stream call tool_calls done complete fin",
        "200 json call tool_calls complete fin",
    ),
    (
        "tool-cut:2",
        "200 event-stream half-call cut reset",
        "200 json half-call tool_calls complete fin",
    ),
    (
        "wrong-json",
        "200 event-stream other stop done complete fin",
        "200 json other stop complete fin",
    ),
    (
        "wrong-schema",
        "200 event-stream other stop done complete fin",
        "200 json other stop complete fin",
    ),
    (
        "double-finish",
        "200 event-stream 6w stop stop done complete fin",
        "200 json 6w stop complete fin",
    ),
];

#[tokio::test]
async fn every_fault_is_on_the_wire() {
    let server = &start("words=6");
    let rows = ROWS.iter().map(|(spec, streamed, whole)| async move {
        let whole = if whole.is_empty() { streamed } else { whole };
        let (streamed, whole) =
            (check(server, spec, true, streamed), check(server, spec, false, whole));
        futures_util::future::join(streamed, whole).await;
    });
    futures_util::future::join_all(rows).await;
}

#[tokio::test]
async fn an_error_says_when_to_come_back() {
    let server = start("ok");
    let check = async |spec: &str, name: &str, expected: Option<&str>| {
        let raw = chat(server.addr(), "", &question(&format!("fault-{spec}"), false)).await;
        assert_eq!(raw.header(name).as_deref(), expected, "{spec}");
    };
    check("429", "retry-after", None).await;
    check("429:retry-after=2", "retry-after", Some("2")).await;
    check("503:3600", "retry-after", Some("3600")).await;
    check("429:retry-after-ms=150", "retry-after-ms", Some("150")).await;
    check("429:reset=1m30s", "x-ratelimit-reset-requests", Some("1m30s")).await;
    check("redirect", "location", Some("/v1/elsewhere")).await;
    let raw = chat(server.addr(), "", &question("fault-429:retry-after-date=1h", false)).await;
    let date = httpdate::parse_http_date(&raw.header("retry-after").unwrap()).unwrap();
    let away = date.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let created = chat(server.addr(), "", &question("m", false)).await.json()["created"].clone();
    assert!((3590..=3600).contains(&(away - created.as_u64().unwrap())));
}

#[tokio::test]
async fn sizes_and_keys_are_what_was_asked_for() {
    let server = start("ok");
    let raw = chat(server.addr(), "", &question("fault-big-error:2MB", false)).await;
    assert_eq!(raw.body().0.len(), 2_000_000);
    let raw = chat(server.addr(), "", &question("fault-huge-header:50KB", false)).await;
    assert_eq!(raw.header("x-padding").unwrap().len(), 50_000);
    let key = "authorization: Bearer sk-secret\r\n";
    let raw = chat(server.addr(), key, &question("fault-401", false)).await;
    assert!(raw.header("www-authenticate").unwrap().contains("sk-secret"));
    assert!(raw.json()["error"]["message"].as_str().unwrap().contains("sk-secret"));

    let api_key = Some("sk-right".to_owned());
    let server = Server::start(Options { api_key, ..Options::default() }).unwrap();
    let raw = chat(server.addr(), key, &question("m", false)).await;
    assert_eq!(raw.summary(), "401 json invalid_api_key complete fin");
    let raw =
        chat(server.addr(), "authorization: Bearer sk-right\r\n", &question("m", false)).await;
    assert_eq!(raw.summary(), "200 json 60w stop complete fin");
}

#[tokio::test]
async fn a_fault_strikes_when_it_should() {
    let server = start("500+once");
    let check = async |model: &str, expected: &[u16]| {
        for status in expected {
            let raw = chat(server.addr(), "", &question(model, false)).await;
            assert_eq!(&raw.head()[9..12], status.to_string(), "{model}");
        }
    };
    check("m", &[500, 200, 200]).await;
    server.set(Behaviour::parse("503+times=2").unwrap()).unwrap();
    check("m", &[503, 503, 200]).await;
    check("m!ok", &[200]).await;
    check("m!429+flap=1/2", &[200, 429, 429, 200, 429]).await;
    check("m!no-such-fault", &[400]).await;
    assert_eq!(server.counts().faulty, 6);
}

#[tokio::test]
async fn delays_are_kept() {
    let server = start("words=3");
    // Only lower limits: a busy machine may be later, but nothing is ever earlier.
    let wait = Duration::from_millis(80);
    let check = async |spec: &str, stream, before_head: bool, after_head: bool| {
        let body = question(&format!("m!{spec}"), stream).to_string();
        let start = Instant::now();
        let mut socket = send(server.addr(), "POST", "/v1/chat/completions", "", &body).await;
        let mut first = [0; 1];
        socket.read_exact(&mut first).await.unwrap();
        let (head, begun) = (start.elapsed(), Instant::now());
        read_to_end(&mut socket, MAX_BYTES).await;
        let rest = begun.elapsed();
        assert!(!before_head || head >= wait, "{spec}, stream: {stream}: head after {head:?}");
        assert!(!after_head || rest >= wait / 2, "{spec}: {rest:?} after the head");
    };
    check("slow:80ms", true, true, false).await;
    check("slow:80ms", false, true, false).await;
    check("slow-first:80ms", true, false, true).await;
    check("slow-first:80ms", false, true, false).await;
    check("latency=80ms~5ms", false, true, false).await;
    check("chunk-delay=40ms", true, false, true).await;
}

#[tokio::test]
async fn a_refusing_provider_comes_back_at_the_same_port() {
    let server = start("refuse");
    let refused = TcpStream::connect(server.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    server.set(Behaviour::default()).unwrap();
    let raw = chat(server.addr(), "", &question("m", false)).await;
    assert_eq!(raw.summary(), "200 json 60w stop complete fin");
    // An idle connection dies with the provider.
    let mut idle = TcpStream::connect(server.addr()).await.unwrap();
    server.wait_for(|server| (server.counts().open_connections == 1).then_some(())).await;
    server.set(Behaviour::parse("refuse").unwrap()).unwrap();
    assert_eq!(read_to_end(&mut idle, MAX_BYTES).await.end, "reset");
    assert!(TcpStream::connect(server.addr()).await.is_err());
}

#[tokio::test]
async fn a_connection_is_kept_and_requests_may_be_chunked() {
    let server = start("words=2");
    let mut socket = TcpStream::connect(server.addr()).await.unwrap();
    let body = question("m", true).to_string();
    let (left, right) = body.split_at(10);
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{left}\r\n{:x}\r\n{right}\r\n0\r\n\r\n",
        left.len(),
        right.len()
    );
    let last = format!(
        "POST /v1/embeddings HTTP/1.1\r\nconnection: close\r\ncontent-length: 26\r\n\r\n{}",
        r#"{"model":"m","input":"hi"}"#
    );
    socket.write_all(format!("{chunked}{chunked}{last}").as_bytes()).await.unwrap();
    let raw = read_to_end(&mut socket, MAX_BYTES).await;
    let text = String::from_utf8_lossy(&raw.bytes).into_owned();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3, "{text}");
    assert_eq!(text.matches("[DONE]").count(), 2);
    assert_eq!(raw.end, "fin");
    let log = server.log();
    assert_eq!(log.iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 0, 0]);
    assert_eq!(
        (log[0].model.as_str(), log[0].stream, &log[0].body[..]),
        ("m", true, body.as_bytes())
    );
    assert_eq!(
        (log[2].path.as_str(), log[2].header("Content-Length")),
        ("/v1/embeddings", Some("26".into()))
    );
}

#[tokio::test]
async fn an_http_client_is_content_and_keeps_its_connection() {
    // Another test of this process may have installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let server = start("words=3");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let check = async |model: &str, stream: bool, status: u16| {
        let request = client.post(format!("{}/chat/completions", server.base_url()));
        let answer = request.body(question(model, stream).to_string()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        answer.text().await.unwrap()
    };
    let whole: Value = serde_json::from_str(&check("m", false, 200).await).unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], answer("hi", 3));
    assert_eq!(Said::in_stream(&check("m", true, 200).await).summary(), " 3w stop done");
    check("fault-429", true, 429).await;
    check("fault-cut-clean", true, 200).await;
    check("m", true, 200).await;
    assert_eq!(server.counts().connections, 1);
}

#[tokio::test]
async fn a_client_that_goes_is_noticed() {
    for spec in ["silence", "stall:1", "slow:10s", "comments:5ms", "no-done:open"] {
        let server = start(spec);
        let mut socket = TcpStream::connect(server.addr()).await.unwrap();
        let body = question("m", true).to_string();
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {}", body.len());
        socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        server.wait_for(|server| server.log().first().cloned()).await;
        let left = Instant::now();
        drop(socket);
        let gone = server.wait_for(|server| server.log()[0].gone());
        let gone = timeout(Duration::from_secs(2), gone).await.unwrap_or_else(|_| panic!("{spec}"));
        assert!(gone >= left, "{spec}");
        assert_eq!(server.counts().gone, 1, "{spec}");
    }
}

#[tokio::test]
async fn an_answer_is_continued_where_it_was_left() {
    let server = start("words=6");
    let begun = answer("hi", 2);
    let rest = answer("hi", 6)[begun.len()..].to_owned();
    let check = async |model: &str, stream: bool, expected: &str| {
        let user = json!({ "role": "user", "content": "hi" });
        let assistant = json!({ "role": "assistant", "content": begun });
        let body = json!({ "model": model, "stream": stream, "messages": [user, assistant] });
        let raw = chat(server.addr(), "", &body).await;
        let (body, _) = raw.body();
        let said = if stream {
            Said::in_stream(&String::from_utf8_lossy(&body))
        } else {
            Said::in_json(&body)
        };
        assert_eq!(said.text, expected, "{model}");
    };
    check("m", true, &rest).await;
    check("m", false, &rest).await;
    check("other!continues=restart", true, &answer("hi", 6)).await;
    check("m!prefill=off", true, "").await;
}

#[tokio::test]
async fn json_is_given_when_json_is_asked_for() {
    let server = start("words=3");
    let schema = json!({ "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } });
    let check = async |model: &str, format: Value, expected: Option<&str>| {
        let mut body = question(model, false);
        body["response_format"] = format;
        let said = chat(server.addr(), "", &body).await.json();
        let text = said["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        let value: Option<Value> = serde_json::from_str(&text).ok();
        let member = value.map(|value| value.as_object().unwrap().keys().next().unwrap().clone());
        assert_eq!(member.as_deref(), expected, "{model}: {text}");
    };
    let object = json!({ "type": "json_object" });
    let schema = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema } });
    check("m", object.clone(), Some("answer")).await;
    check("m", schema.clone(), Some("name")).await;
    check("m!wrong-json", object, None).await;
    check("m!wrong-schema", schema, Some("unexpected")).await;
}

#[tokio::test]
async fn usage_limits_embeddings_and_models_are_answered() {
    let server = start("words=6");
    let mut body = question("gpt", true);
    body["stream_options"] = json!({ "include_usage": true });
    body["max_tokens"] = json!(4);
    let raw = chat(server.addr(), "", &body).await;
    assert_eq!(raw.summary(), "200 event-stream 4w length usage done complete fin");
    let raw = chat(server.addr(), "", &question("gpt", false)).await;
    assert_eq!(
        (&raw.json()["model"], &raw.json()["usage"]["completion_tokens"]),
        (&json!("gpt"), &json!(6))
    );

    let embed = async |format: &str| {
        let body = json!({ "model": "e", "input": ["a", "b"], "dimensions": 4, "encoding_format": format });
        exchange(server.addr(), "POST", "/v1/embeddings", "", &body.to_string()).await.json()
    };
    let (floats, base64) = (embed("float").await, embed("base64").await);
    assert_eq!(floats["data"][1]["embedding"].as_array().unwrap().len(), 4);
    assert_eq!(base64["data"][1]["embedding"].as_str().unwrap().len(), 24);
    assert_ne!(floats["data"][0]["embedding"], floats["data"][1]["embedding"]);

    let models = exchange(server.addr(), "GET", "/v1/models", "", "").await.json();
    let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert!(
        ids.contains(&&json!("fault-stall")) && !ids.contains(&&json!("fault-once")),
        "{ids:?}"
    );
    let raw = exchange(server.addr(), "GET", "/v1/nothing", "", "").await;
    assert_eq!(raw.summary(), "404 json unknown_url complete fin");
}

#[tokio::test]
async fn the_log_is_bounded_and_a_shutdown_closes_all() {
    let server = Server::start(Options { log_limit: 2, ..Options::default() }).unwrap();
    for _ in 0..3 {
        chat(server.addr(), "", &question("m", false)).await;
    }
    assert_eq!(server.log().iter().map(|seen| seen.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(server.counts().requests, 3);
    let addr = server.addr();
    let mut open = TcpStream::connect(addr).await.unwrap();
    server.wait_for(|server| (server.counts().connections == 4).then_some(())).await;
    server.shutdown().await;
    assert_ne!(read_to_end(&mut open, MAX_BYTES).await.end, "open");
    assert!(TcpStream::connect(addr).await.is_err());
}
