//! The calls: connections that are kept, each with one call at a time and the
//! next as soon as the last is over. A call that does not get its whole answer
//! fails the measurement.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Fault;
use super::call::Kind;

/// One kept connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    /// Kept between calls for its room.
    answer: BytesMut,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; a fault in it fails the call under way.
        tokio::spawn(connection);
        let host = HeaderValue::try_from(address.to_string())?;
        Ok(Self { sender, host, answer: BytesMut::new() })
    }

    pub async fn open_many(address: SocketAddr, number: usize) -> Result<Vec<Self>, Fault> {
        let mut connections = Vec::with_capacity(number);
        for _ in 0..number {
            connections.push(Self::open(address).await?);
        }
        Ok(connections)
    }

    /// Makes one call. How long it took: of a stream to its first bytes, of a
    /// whole answer to its end.
    pub async fn call(&mut self, kind: Kind, body: Bytes) -> Result<Duration, Fault> {
        let begun = now();
        let mut answer = self.ask(body).await?;
        let mut first = None;
        self.answer.clear();
        while let Some(frame) = answer.frame().await {
            if let Some(data) = frame?.data_ref() {
                first.get_or_insert_with(|| begun.elapsed());
                self.answer.extend_from_slice(data);
            }
        }
        let whole = begun.elapsed();
        if !self.answer.ends_with(kind.ending()) {
            let end = self.answer.len().saturating_sub(200);
            let end = String::from_utf8_lossy(&self.answer[end..]);
            return Err(format!("an answer is cut: …{end:?}").into());
        }
        Ok(if kind.streams() { first.unwrap_or(whole) } else { whole })
    }

    /// Makes a call and takes the first bytes of its answer; the rest stays.
    pub async fn begin(&mut self, body: Bytes) -> Result<Incoming, Fault> {
        let mut answer = self.ask(body).await?;
        match answer.frame().await {
            Some(Ok(_)) => Ok(answer),
            Some(Err(error)) => Err(error.into()),
            None => Err("an answer is empty".into()),
        }
    }

    async fn ask(&mut self, body: Bytes) -> Result<Incoming, Fault> {
        self.sender.ready().await?;
        let request = Request::post("/v1/chat/completions")
            .header(header::HOST, self.host.clone())
            .header(header::AUTHORIZATION, "Bearer sk-bench")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "bench/1.0")
            .body(Full::new(body))?;
        let answer = self.sender.send_request(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(format!("a call was answered {status}").into()),
        }
    }
}

/// What came of a round of calls.
#[derive(Debug, Default)]
pub struct Round {
    pub wall: Duration,
    /// Of every call, in rising order. Never empty.
    pub latencies: Vec<Duration>,
}

/// Calls on all connections for as long as `length`, then lets every call end.
pub async fn round(
    connections: Vec<Connection>,
    kind: Kind,
    length: Duration,
) -> Result<(Vec<Connection>, Round), Fault> {
    let body = kind.request();
    let begun = now();
    let mut callers = JoinSet::new();
    for mut connection in connections {
        let body = body.clone();
        callers.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                latencies.push(connection.call(kind, body.clone()).await?);
                if begun.elapsed() >= length {
                    return Ok::<_, Fault>((connection, latencies));
                }
            }
        });
    }
    let mut connections = Vec::with_capacity(callers.len());
    let mut latencies = Vec::new();
    while let Some(caller) = callers.join_next().await {
        let (connection, its) = caller??;
        connections.push(connection);
        latencies.extend(its);
    }
    let wall = begun.elapsed();
    latencies.sort_unstable();
    Ok((connections, Round { wall, latencies }))
}

#[expect(clippy::disallowed_methods, reason = "a bench measures with its own clock")]
pub fn now() -> Instant {
    Instant::now()
}
