//! Reads HTTP/1.1 requests off a connection, bounded. It answers nothing but
//! `100 Continue`, and knows nothing of what a request means.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};

const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
const MAX_HEADERS: usize = 100;
/// Room for most requests in one read.
const READ_BYTES: usize = 8 * 1024;

#[derive(Debug)]
pub(super) struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// What follows the `?`; empty without.
    pub query: String,
    /// The request line and the headers, as they came.
    pub head: Bytes,
    pub body: Bytes,
    /// Whether the peer will use the connection again.
    pub keep_alive: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    /// The peer has gone.
    Gone,
    /// It sent what is no request, or one beyond the limits.
    Invalid(&'static str),
}

impl Request {
    /// The value of a header, if there is one that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = std::str::from_utf8(&self.head).ok()?;
        header_lines(head).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The key in the `authorization` header; empty without.
    pub fn bearer(&self) -> &str {
        let value = self.header("authorization").unwrap_or_default();
        value.strip_prefix("Bearer ").unwrap_or(value)
    }

    /// The value of a parameter of the query, if it has one.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| percent_decoded(value))
    }
}

/// Text with its `%XX` resolved; what is no such escape stays as it is.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = if *first == b'%' { after.get(..2) } else { None };
        let digits = escape.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Names and values of the headers of a head.
pub(super) fn header_lines(head: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = head.split("\r\n").skip(1);
    lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()))
}

/// What a head says about the message.
struct Head {
    length: usize,
    method: String,
    path: String,
    query: String,
    framing: Framing,
    keep_alive: bool,
    expects_continue: bool,
}

enum Framing {
    Length(usize),
    Chunked,
}

/// The next request; what comes after it stays in `inbox`.
pub(super) async fn read(
    reader: &mut ReadHalf<'_>,
    writer: &mut WriteHalf<'_>,
    inbox: &mut BytesMut,
) -> Result<Request, ReadError> {
    let head = loop {
        if let Some(head) = parse_head(inbox)? {
            break head;
        }
        if inbox.len() > MAX_HEAD_BYTES {
            return Err(ReadError::Invalid("the head is too long"));
        }
        fill(reader, inbox).await?;
    };
    let bytes = inbox.split_to(head.length).freeze();
    if head.expects_continue {
        let answer = b"HTTP/1.1 100 Continue\r\n\r\n";
        writer.write_all(answer).await.map_err(|_| ReadError::Gone)?;
    }
    let body = match head.framing {
        Framing::Length(length) => {
            while inbox.len() < length {
                fill(reader, inbox).await?;
            }
            inbox.split_to(length).freeze()
        }
        Framing::Chunked => read_chunks(reader, inbox).await?,
    };
    let Head { method, path, query, keep_alive, .. } = head;
    Ok(Request { method, path, query, head: bytes, body, keep_alive })
}

async fn fill(reader: &mut ReadHalf<'_>, inbox: &mut BytesMut) -> Result<(), ReadError> {
    inbox.reserve(READ_BYTES);
    match reader.read_buf(inbox).await {
        Ok(0) | Err(_) => Err(ReadError::Gone),
        Ok(_) => Ok(()),
    }
}

fn parse_head(inbox: &[u8]) -> Result<Option<Head>, ReadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let invalid = |_| ReadError::Invalid("this is no HTTP/1.1 request");
    let httparse::Status::Complete(length) = request.parse(inbox).map_err(invalid)? else {
        return Ok(None);
    };
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut head = Head {
        length,
        method: request.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        framing: Framing::Length(0),
        keep_alive: request.version == Some(1),
        expects_continue: false,
    };
    for header in request.headers {
        take_header(&mut head, header)?;
    }
    Ok(Some(head))
}

fn take_header(head: &mut Head, header: &httparse::Header<'_>) -> Result<(), ReadError> {
    let value = std::str::from_utf8(header.value).unwrap_or_default();
    if header.name.eq_ignore_ascii_case("content-length") {
        let length = value.parse().ok().filter(|length| *length <= MAX_BODY_BYTES);
        head.framing =
            Framing::Length(length.ok_or(ReadError::Invalid("no usable content-length"))?);
    } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
        head.framing = Framing::Chunked;
    } else if header.name.eq_ignore_ascii_case("connection") {
        head.keep_alive = head.keep_alive && !value.eq_ignore_ascii_case("close");
    } else if header.name.eq_ignore_ascii_case("expect") {
        head.expects_continue = true;
    }
    Ok(())
}

async fn read_chunks(reader: &mut ReadHalf<'_>, inbox: &mut BytesMut) -> Result<Bytes, ReadError> {
    let mut body = BytesMut::new();
    loop {
        match next_chunk(inbox)? {
            None => fill(reader, inbox).await?,
            Some(chunk) if chunk.is_empty() => return Ok(body.freeze()),
            Some(chunk) => body.extend_from_slice(&chunk),
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(ReadError::Invalid("the body is too long"));
        }
    }
}

/// Takes one complete chunk off `inbox`; the empty one is the last.
fn next_chunk(inbox: &mut BytesMut) -> Result<Option<BytesMut>, ReadError> {
    let invalid = ReadError::Invalid("the chunks make no sense");
    let Ok(status) = httparse::parse_chunk_size(inbox) else { return Err(invalid) };
    let httparse::Status::Complete((start, size)) = status else { return Ok(None) };
    let Some(size) = usize::try_from(size).ok().filter(|size| *size <= MAX_BODY_BYTES) else {
        return Err(invalid);
    };
    // The last chunk is taken to have no trailers: it ends with one empty line.
    if inbox.len() < start + size + 2 {
        return Ok(None);
    }
    let _size_line = inbox.split_to(start);
    let chunk = inbox.split_to(size);
    if inbox.split_to(2) != "\r\n" {
        return Err(invalid);
    }
    Ok(Some(chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_taken_when_they_are_complete() {
        let mut inbox = BytesMut::from("3\r\nabc\r\n0\r");
        assert_eq!(next_chunk(&mut inbox).unwrap().unwrap(), "abc");
        assert_eq!(next_chunk(&mut inbox).unwrap(), None);
        inbox.extend_from_slice(b"\n\r\nGET");
        assert_eq!(next_chunk(&mut inbox).unwrap().unwrap(), "");
        assert_eq!(inbox, "GET");
        assert!(next_chunk(&mut BytesMut::from("3\r\nabcde")).is_err());
        assert!(next_chunk(&mut BytesMut::from("zz\r\n")).is_err());
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(percent_decoded("a%2Fb%3a%21%zz%2"), "a/b:!%zz%2");
        assert_eq!(percent_decoded("%C3%A9"), "\u{e9}");
    }

    #[test]
    fn a_head_is_understood() {
        let head = parse_head(b"POST /v1/x?y=1 HTTP/1.1\r\nConnection: Close\r\n\r\n");
        let head = head.unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str()), ("POST", "/v1/x"));
        assert_eq!(head.query, "y=1");
        assert!(!head.keep_alive);
        assert!(parse_head(b"POST /v1").unwrap().is_none());
        assert!(parse_head(b"\x16\x03\x01").is_err());
        assert!(parse_head(b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n").is_err());
    }
}
