//! Server-sent events as frames: bytes in, frames out, each with exactly the
//! bytes that made it. Owns line ends, comments, the byte order mark and the
//! limit per frame; must not know what the data means, nor whether it is text.

use std::mem;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr2};

/// The default limit of one frame. A terminal event can repeat a whole answer,
/// and images travel as base64 in one event.
pub const DEFAULT_FRAME_LIMIT: usize = 8 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event or comment, ended by its blank line. All frames of a stream joined
/// are the stream, but for a byte order mark at its beginning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Every byte, with the blank line at the end. A slice of the input chunk
    /// where it lies within one.
    pub bytes: Bytes,
    /// The last `event:` line's value.
    pub event: Option<Bytes>,
    /// The `data:` lines' values, joined by line feeds; `None` without any.
    pub data: Option<Bytes>,
}

impl Frame {
    /// Reads one frame's lines.
    #[must_use]
    pub fn parse(bytes: Bytes) -> Self {
        let mut frame = Self { bytes: Bytes::new(), event: None, data: None };
        let mut joined: Option<BytesMut> = None;
        for (start, end) in Lines::of(&bytes) {
            let line = &bytes[start..end];
            if let Some(from) = value_start(line, b"data") {
                let value = bytes.slice(start + from..end);
                match (&frame.data, &mut joined) {
                    (None, _) => frame.data = Some(value),
                    (Some(first), None) => {
                        let mut both = BytesMut::from(&first[..]);
                        both.extend_from_slice(b"\n");
                        both.extend_from_slice(&value);
                        joined = Some(both);
                    }
                    (Some(_), Some(all)) => {
                        all.extend_from_slice(b"\n");
                        all.extend_from_slice(&value);
                    }
                }
            } else if let Some(from) = value_start(line, b"event") {
                frame.event = Some(bytes.slice(start + from..end));
            }
        }
        if let Some(joined) = joined {
            frame.data = Some(joined.freeze());
        }
        frame.bytes = bytes;
        frame
    }
}

/// Where the value of a `field: value` line begins, if it is that field.
fn value_start(line: &[u8], field: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(field)?;
    match rest {
        [] => Some(field.len()),
        [b':', b' ', ..] => Some(field.len() + 2),
        [b':', ..] => Some(field.len() + 1),
        [..] => None,
    }
}

struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    const fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

impl Iterator for Lines<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let start = self.at;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let end = memchr2(b'\n', b'\r', rest).map_or(self.bytes.len(), |at| start + at);
        let crlf = self.bytes[end..].starts_with(b"\r\n");
        self.at = end + if crlf { 2 } else { 1 };
        Some((start, end))
    }
}

/// A frame outgrew the limit. Nothing more can be read from this stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an event is longer than {limit} bytes")]
pub struct TooLong {
    pub limit: usize,
}

/// What is left when the input has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// The input ended where a frame ended.
    Clean,
    /// The last frame: it ended in a lone CR, after which a LF could have come.
    Last(Frame),
    /// The bytes of a frame without its blank line: the stream was cut, or its
    /// sender forgot the last line end.
    Unfinished(Bytes),
}

/// Cuts a stream into frames. Costs time linear in the input, whatever the
/// chunks, and holds no memory between frames.
#[derive(Debug)]
pub struct Framer {
    /// Input not yet looked at.
    chunk: Bytes,
    /// The beginning of a frame, from earlier chunks.
    partial: Vec<u8>,
    limit: usize,
    line: Line,
    /// No frame was made yet: a byte order mark may come.
    first: bool,
    too_long: bool,
}

/// Where in a line the input looked at so far ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    /// At its beginning.
    Empty,
    Begun,
    /// After a CR that ended it: a LF right after belongs to it. If it was
    /// blank, the frame is complete but for that LF.
    Ended {
        blank: bool,
    },
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(DEFAULT_FRAME_LIMIT)
    }
}

impl Framer {
    /// `limit` is in bytes, per frame.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            chunk: Bytes::new(),
            partial: Vec::new(),
            limit,
            line: Line::Empty,
            first: true,
            too_long: false,
        }
    }

    /// Adds input. Take all frames out before the next `push`: input not yet
    /// looked at would be copied.
    pub fn push(&mut self, chunk: Bytes) {
        self.chunk = if self.chunk.is_empty() {
            chunk
        } else {
            Bytes::from([&self.chunk[..], &chunk[..]].concat())
        };
    }

    /// The next complete frame, if the input so far holds one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, TooLong> {
        let end = self.frame_end();
        let scanned = end.unwrap_or(self.chunk.len());
        if self.too_long || self.partial.len() + scanned > self.limit {
            self.too_long = true;
            self.partial = Vec::new();
            self.chunk = Bytes::new();
            return Err(TooLong { limit: self.limit });
        }
        let head = self.chunk.split_to(scanned);
        if self.chunk.is_empty() {
            self.chunk = Bytes::new();
        }
        if end.is_some() {
            return Ok(Some(Frame::parse(self.take(head))));
        }
        self.partial.extend_from_slice(&head);
        Ok(None)
    }

    /// Says what is left once the input has ended and all frames were taken.
    pub fn finish(&mut self) -> End {
        let complete = self.line == Line::Ended { blank: true };
        let rest = self.take(Bytes::new());
        match (complete, rest.is_empty()) {
            (true, _) => End::Last(Frame::parse(rest)),
            (false, true) => End::Clean,
            (false, false) => End::Unfinished(rest),
        }
    }

    /// Where in the chunk the current frame ends. The line state is left as it
    /// is at the end of what was looked at.
    fn frame_end(&mut self) -> Option<usize> {
        let mut at = 0;
        while at < self.chunk.len() {
            if let Line::Ended { blank } = self.line {
                at += usize::from(self.chunk[at] == b'\n');
                self.line = Line::Empty;
                if blank {
                    return Some(at);
                }
                continue;
            }
            let Some(length) = memchr2(b'\n', b'\r', &self.chunk[at..]) else {
                self.line = Line::Begun;
                return None;
            };
            let blank = self.line == Line::Empty && length == 0;
            at += length + 1;
            self.line = Line::Empty;
            if self.chunk[at - 1] == b'\r' {
                self.line = Line::Ended { blank };
            } else if blank {
                return Some(at);
            }
        }
        None
    }

    /// What was kept of the current frame and its last bytes.
    fn take(&mut self, tail: Bytes) -> Bytes {
        self.line = Line::Empty;
        let mut bytes = if self.partial.is_empty() {
            tail
        } else {
            self.partial.extend_from_slice(&tail);
            Bytes::from(mem::take(&mut self.partial))
        };
        if mem::take(&mut self.first) && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes = bytes.slice(BYTE_ORDER_MARK.len()..);
        }
        bytes
    }
}

/// One event with this data, as bytes to send. Line feeds become spaces: in
/// JSON outside of strings they mean nothing, and inside they cannot occur.
#[must_use]
pub fn event(data: &str) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + 8);
    out.extend_from_slice(b"data: ");
    push_one_line(&mut out, data);
    out.extend_from_slice(b"\n\n");
    Bytes::from(out)
}

/// A comment, as bytes to send. Line ends become spaces.
#[must_use]
pub fn comment(text: &str) -> Bytes {
    let mut out = Vec::with_capacity(text.len() + 4);
    out.extend_from_slice(b": ");
    push_one_line(&mut out, text);
    out.extend_from_slice(b"\n\n");
    Bytes::from(out)
}

fn push_one_line(out: &mut Vec<u8>, text: &str) {
    if memchr2(b'\n', b'\r', text.as_bytes()).is_none() && memchr(0, text.as_bytes()).is_none() {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.extend(
        text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r' | 0) { b' ' } else { byte }),
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(input: &[u8], chunk: usize) -> (Vec<Frame>, End) {
        let mut framer = Framer::default();
        let mut out = Vec::new();
        for part in input.chunks(chunk) {
            framer.push(Bytes::copy_from_slice(part));
            while let Some(frame) = framer.next_frame().unwrap() {
                out.push(frame);
            }
        }
        let end = framer.finish();
        (out, end)
    }

    /// Shown as `event|data`, `-` for what is not there.
    fn shown(frame: &Frame) -> String {
        let text = |part: &Option<Bytes>| {
            part.as_ref().map_or("-".into(), |b| String::from_utf8_lossy(b).into_owned())
        };
        format!("{}|{}", text(&frame.event), text(&frame.data))
    }

    #[test]
    fn frames_of_all_kinds() {
        let check = |input: &str, expected: &[&str]| {
            for chunk in [1, 2, 3, 1000] {
                let (frames, end) = run(input.as_bytes(), chunk);
                let mut seen: Vec<String> = frames.iter().map(shown).collect();
                match &end {
                    End::Clean => {}
                    End::Last(frame) => seen.push(shown(frame)),
                    End::Unfinished(bytes) => seen.push(format!("{} left", bytes.len())),
                }
                assert_eq!(seen, expected, "{input:?} in chunks of {chunk}");
            }
        };
        check("data: a\n\ndata: b\n\n", &["-|a", "-|b"]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &["-|a", "-|b"]);
        check("data: a\r\rdata: b\r\r", &["-|a", "-|b"]);
        check("data: a\n\r\ndata: b\r\n\n", &["-|a", "-|b"]);
        check("data:a\ndata:  b\ndata\n\n", &["-|a\n b\n"]);
        check("event: error\nid: 7\ndata: {}\nretry: 1\n\n", &["error|{}"]);
        check("\u{feff}data: a\n\n", &["-|a"]);
        check("data: \u{feff}a\n\n", &["-|\u{feff}a"]);
        check(": ping\n\n\ndata: a\n\n", &["-|-", "-|-", "-|a"]);
        check("dataset: a\n\n", &["-|-"]);
        check("data: a\n\ndata: [DONE]", &["-|a", "12 left"]);
        check("data: a\n", &["8 left"]);
        check("data: a\r\n\r", &["-|a"]);
        check("", &[]);
    }

    #[test]
    fn a_frame_within_one_chunk_is_not_copied() {
        let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n");
        let mut framer = Framer::default();
        framer.push(chunk.clone());
        let frame = framer.next_frame().unwrap().unwrap();
        assert_eq!(frame.bytes.as_ptr(), chunk.as_ptr());
        assert_eq!(frame.data.unwrap().as_ptr(), chunk[6..].as_ptr());
    }

    #[test]
    fn a_frame_over_the_limit_is_an_error_for_good() {
        let mut framer = Framer::new(16);
        framer.push(Bytes::from_static(b"data: 12345678\n\ndata: 123456789\n\n"));
        assert!(framer.next_frame().unwrap().is_some());
        assert_eq!(framer.next_frame(), Err(TooLong { limit: 16 }));
        framer.push(Bytes::from_static(b"data: a\n\n"));
        assert_eq!(framer.next_frame(), Err(TooLong { limit: 16 }));

        let mut framer = Framer::new(16);
        for _ in 0..2 {
            framer.push(Bytes::from_static(b"data: 56"));
            assert_eq!(framer.next_frame(), Ok(None));
        }
        framer.push(Bytes::from_static(b"7"));
        assert_eq!(framer.next_frame(), Err(TooLong { limit: 16 }));
    }

    #[test]
    fn nothing_is_held_between_frames() {
        let mut framer = Framer::default();
        framer.push(Bytes::from(b"data: 1".to_vec()));
        assert_eq!(framer.next_frame(), Ok(None));
        framer.push(Bytes::from(b"\n\n".to_vec()));
        assert!(framer.next_frame().unwrap().is_some());
        assert_eq!(framer.partial.capacity(), 0);
        assert!(mem::size_of::<Framer>() <= 128);
    }

    /// 4 MB byte by byte and in packets: a scan that starts over with every
    /// chunk would take minutes here.
    #[test]
    fn one_large_event_takes_linear_time() {
        let mut input = b"data: ".to_vec();
        input.resize(4 << 20, b'x');
        input.extend_from_slice(b"\n\n");
        for chunk in [1, 1400] {
            let (frames, end) = run(&input, chunk);
            assert_eq!((frames.len(), end), (1, End::Clean));
            assert_eq!(frames[0].bytes.len(), input.len());
        }
    }

    #[test]
    fn what_is_sent_is_one_line() {
        assert_eq!(&event("{\n}")[..], b"data: { }\n\n");
        assert_eq!(&comment("a\r\nb")[..], b": a  b\n\n");
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"data: x".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(b": c".to_vec()),
            Just(b"event: e".to_vec()),
            Just(BYTE_ORDER_MARK.to_vec()),
            proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn frames_do_not_depend_on_the_chunks(
            input in stream(),
            cuts in proptest::collection::vec(1_usize..9, 1..20),
        ) {
            let (frames, end) = run(&input, input.len().max(1));
            let mut framer = Framer::default();
            let (mut seen, mut at) = (Vec::new(), 0);
            for length in cuts.iter().cycle() {
                if at == input.len() {
                    break;
                }
                let next = (at + length).min(input.len());
                framer.push(Bytes::copy_from_slice(&input[at..next]));
                while let Some(frame) = framer.next_frame().unwrap() {
                    seen.push(frame);
                }
                at = next;
            }
            prop_assert_eq!(&seen, &frames);
            prop_assert_eq!(framer.finish(), end.clone());

            let mut joined: Vec<u8> = frames.iter().flat_map(|f| f.bytes.to_vec()).collect();
            match end {
                End::Clean => {}
                End::Last(frame) => joined.extend_from_slice(&frame.bytes),
                End::Unfinished(bytes) => joined.extend_from_slice(&bytes),
            }
            let whole = input.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&input);
            prop_assert_eq!(joined, whole);
        }
    }
}
