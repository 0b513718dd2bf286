//! What will be written to the connection, decided before the first byte is:
//! bytes, pauses between them, and how it ends.

use std::io::Write as _;
use std::time::Duration;

/// One answer, ready to be performed. Reused from call to call: `bytes` and
/// `body` keep their memory.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub bytes: Vec<u8>,
    /// Waits, in order, each before the byte with this index is written.
    pub pauses: Vec<(usize, Duration)>,
    pub end: End,
    /// Where a body is put together before its length is known.
    pub body: Vec<u8>,
    /// Whether the peer asked for the connection to be closed afterwards.
    pub closes: bool,
    /// Sent with every answer unless empty.
    pub request_id: String,
    /// The header it is sent in; in none if empty.
    pub id_header: &'static str,
    /// Bytes of a header without a meaning; none if zero.
    pub padding: usize,
}

/// What happens to the connection after the last byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// It waits for the next request.
    #[default]
    KeepAlive,
    /// A clean close.
    Close,
    Reset,
    /// Nothing more, until the peer has gone.
    Silence,
    /// These bytes again and again, until the peer has gone.
    Repeat {
        bytes: Vec<u8>,
        every: Duration,
    },
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
}

/// Memory that a script keeps for the next call.
const KEPT_BYTES: usize = 256 * 1024;

impl Script {
    pub fn clear(&mut self, closes: bool) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.body.clear();
        self.body.shrink_to(KEPT_BYTES);
        self.pauses.clear();
        self.end = if closes { End::Close } else { End::KeepAlive };
        self.closes = closes;
        self.padding = 0;
        self.request_id.clear();
        self.id_header = "x-request-id";
    }

    pub fn pause(&mut self, length: Duration) {
        if !length.is_zero() {
            self.pauses.push((self.bytes.len(), length));
        }
    }

    pub fn head(&mut self, status: u16, content_type: &str, framing: Framing) {
        self.head_with(status, content_type, framing, &[]);
    }

    pub fn head_with(
        &mut self,
        status: u16,
        content_type: &str,
        framing: Framing,
        headers: &[(&str, &str)],
    ) {
        let out = &mut self.bytes;
        put(out, format_args!("HTTP/1.1 {status} {}\r\n", reason(status)));
        put(out, format_args!("content-type: {content_type}\r\n"));
        for (name, value) in headers {
            put(out, format_args!("{name}: {value}\r\n"));
        }
        if !self.request_id.is_empty() && !self.id_header.is_empty() {
            put(out, format_args!("{}: {}\r\n", self.id_header, self.request_id));
        }
        if self.padding > 0 {
            out.extend_from_slice(b"x-padding: ");
            out.resize(out.len() + self.padding, b'x');
            out.extend_from_slice(b"\r\n");
        }
        if self.closes {
            out.extend_from_slice(b"connection: close\r\n");
        }
        match framing {
            Framing::Length(length) => put(out, format_args!("content-length: {length}\r\n\r\n")),
            Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n"),
        }
    }

    /// A JSON answer with `self.body` as the body.
    pub fn json(&mut self, status: u16) {
        self.head(status, "application/json", Framing::Length(self.body.len()));
        self.bytes.extend_from_slice(&self.body);
    }

    /// One HTTP chunk with `self.body` as its content.
    pub fn chunk(&mut self) {
        chunk_into(&mut self.bytes, &self.body);
    }

    pub fn last_chunk(&mut self) {
        self.bytes.extend_from_slice(b"0\r\n\r\n");
    }
}

/// Appends one HTTP chunk.
pub(super) fn chunk_into(out: &mut Vec<u8>, content: &[u8]) {
    put(out, format_args!("{:x}\r\n", content.len()));
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}

/// Appends formatted text.
pub(super) fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes any write");
}

/// Appends a JSON string, quoted and escaped.
pub(super) fn put_json(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes any write");
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
