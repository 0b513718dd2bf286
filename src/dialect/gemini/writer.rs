//! Streams to a client. See [`Writer`](crate::dialect::writer::Writer) for what
//! each function promises.

use crate::dialect::ErrorOut;
use crate::dialect::hub::Event;
use crate::dialect::sse::Frame;
use crate::dialect::stream::Part;
use crate::dialect::writer::Head;

/// Writes one stream.
#[derive(Debug)]
pub struct Writer {
    _head: Head,
}

impl Writer {
    #[must_use]
    pub fn new(head: Head) -> Self {
        Self { _head: head }
    }

    pub fn write(&mut self, _event: &Event, _out: &mut Vec<u8>) {}

    pub fn pass(&mut self, frame: &Frame, _part: &Part, out: &mut Vec<u8>) {
        out.extend_from_slice(&frame.bytes);
    }

    pub fn finish(&mut self, _out: &mut Vec<u8>) {}

    pub fn error(&mut self, _error: &ErrorOut<'_>, _out: &mut Vec<u8>) {}
}
