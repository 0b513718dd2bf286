//! The provider: fixed answers, as fast as a socket takes them. It looks at
//! nothing in a request but its length and its kind.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::call::{Kind, answer, events, messages_events};

/// Between two events of a paced stream.
const PAUSE: Duration = Duration::from_millis(1);
/// A request is far smaller.
const MOST_BUFFERED: usize = 64 * 1024;

/// Everything that is ever written, as it goes over the wire.
struct Answers {
    whole: Vec<u8>,
    stream_head: Vec<u8>,
    /// Each event as a chunk of the transfer coding; the last ends the body.
    chunks: Vec<Vec<u8>>,
    /// The same in Anthropic's dialect.
    messages_chunks: Vec<Vec<u8>>,
    /// How each kind is known.
    markers: [(Kind, String); Kind::ALL.len()],
}

impl Answers {
    fn prepare() -> Self {
        let body = answer();
        let length = body.len();
        let whole = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req-bench\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let stream_head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\nx-request-id: req-bench\r\ntransfer-encoding: chunked\r\n\r\n";
        Self {
            whole: whole.into_bytes(),
            stream_head: stream_head.as_bytes().to_vec(),
            chunks: chunked(&events()),
            messages_chunks: chunked(&messages_events()),
            markers: Kind::ALL.map(|kind| (kind, kind.marker())),
        }
    }

    /// The first request in `buffer`, once it is complete.
    fn request(&self, buffer: &[u8]) -> Option<Asked> {
        let head = memmem::find(buffer, b"\r\n\r\n")? + 4;
        let end = head + content_length(&buffer[..head])?;
        let body = buffer.get(head..end)?;
        let is_asked = |marker: &String| memmem::find(body, marker.as_bytes()).is_some();
        let (kind, _) = self.markers.iter().find(|(_, marker)| is_asked(marker))?;
        let messages = memmem::find(&buffer[..head], b"/messages ").is_some();
        Some(Asked { kind: *kind, messages, length: end })
    }
}

/// One request.
#[derive(Clone, Copy)]
struct Asked {
    kind: Kind,
    /// In Anthropic's dialect.
    messages: bool,
    length: usize,
}

fn chunked(events: &[String]) -> Vec<Vec<u8>> {
    let chunk = |event: &String| format!("{:x}\r\n{event}\r\n", event.len()).into_bytes();
    let mut chunks: Vec<Vec<u8>> = events.iter().map(chunk).collect();
    if let Some(last) = chunks.last_mut() {
        last.extend_from_slice(b"0\r\n\r\n");
    }
    chunks
}

/// Only for the HTTP clients of this bench, which write names in lower case.
fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length: ";
    let value = &head[memmem::find(head, NAME)? + NAME.len()..];
    let end = memmem::find(value, b"\r\n")?;
    std::str::from_utf8(&value[..end]).ok()?.parse().ok()
}

/// Serves until accepting fails.
pub async fn serve(listener: TcpListener) -> io::Error {
    let answers = Arc::new(Answers::prepare());
    loop {
        match listener.accept().await {
            // A connection ends when the proxy closes it, however it does.
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, Arc::clone(&answers)))),
            Err(error) => return error,
        }
    }
}

async fn connection(mut stream: TcpStream, answers: Arc<Answers>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(8 * 1024);
    loop {
        if let Some(asked) = answers.request(&buffer) {
            buffer.advance(asked.length);
            write_answer(&mut stream, &answers, asked).await?;
        } else if buffer.len() > MOST_BUFFERED || stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

async fn write_answer(stream: &mut TcpStream, answers: &Answers, asked: Asked) -> io::Result<()> {
    let kind = asked.kind;
    match kind {
        Kind::Whole | Kind::ModelLast => return stream.write_all(&answers.whole).await,
        Kind::Burst | Kind::Across | Kind::Paced | Kind::Held => {
            stream.write_all(&answers.stream_head).await?;
        }
    }
    let chunks = if asked.messages { &answers.messages_chunks } else { &answers.chunks };
    for (number, chunk) in chunks.iter().enumerate() {
        if number > 0 && kind == Kind::Held {
            // Until the proxy closes the connection; it has nothing to send.
            return stream.read_u8().await.map(drop);
        }
        if number > 0 && kind == Kind::Paced {
            tokio::time::sleep(PAUSE).await;
        }
        stream.write_all(chunk).await?;
    }
    Ok(())
}
