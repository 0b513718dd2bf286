//! Whole answers.

use bytes::Bytes;

use crate::dialect::hub::Answer;
use crate::dialect::openai::whole::Whole;
use crate::dialect::request::Task;
use crate::dialect::writer::Head;
use crate::failover::attempt::Outcome;
use crate::secret::Secret;

/// Reads the complete body of a 200, or says what is wrong with it.
pub fn read_whole(
    _task: Task,
    _content_type: Option<&str>,
    _body: &[u8],
    _secrets: &[&Secret],
) -> Result<Whole, Outcome> {
    Err(Outcome::NotAnAnswer { detail: "not yet".to_owned() })
}

/// The answer in a body that passed `read_whole`.
#[must_use]
pub fn read_answer(_body: &[u8]) -> Option<Answer> {
    None
}

/// An answer as a whole body.
#[must_use]
pub fn write_answer(_answer: &Answer, _head: &Head) -> Bytes {
    Bytes::new()
}

/// The body with this text as the first choice's; `None` if there is no place for it.
#[must_use]
pub fn amend_whole(_body: &[u8], _text: &str) -> Option<Bytes> {
    None
}
