//! Streams from a provider.

use crate::dialect::hub::Event;
use crate::dialect::sse::Frame;
use crate::dialect::stream::Decoded;
use crate::secret::Secret;

/// Reads the frames of one stream, in order.
#[derive(Debug, Default)]
pub struct Decoder {}

impl Decoder {
    /// Pushes the frame's events.
    pub fn decode(
        &mut self,
        _frame: &Frame,
        _secrets: &[&Secret],
        _events: &mut Vec<Event>,
    ) -> Decoded {
        Decoded::Nothing
    }
}
