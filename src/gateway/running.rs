//! An attempt as the driver holds it: its upstream, and what is kept back of
//! its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::relay::Forwarded;
use crate::dialect::{AnswerText, Part, Whole};
use crate::failover::{CandidateId, Timestamp};
use crate::upstream::{Attempt, ErrorBody, Piece};

/// An attempt as the driver holds it.
pub struct Running {
    pub candidate: CandidateId,
    /// Gone once it has ended or was aborted.
    pub upstream: Option<Attempt>,
    pub continues: bool,
    pub started: Timestamp,
    pub headers: HeaderMap,
    pub held: Vec<Piece>,
    pub held_bytes: usize,
    /// What it said: of a whole answer, or of a stream that ended.
    pub answer: Option<Arc<AnswerText>>,
    pub whole: Option<Bytes>,
    pub overflow: Vec<Bytes>,
    pub overflowing: bool,
    pub error: Option<ErrorBody>,
}

impl Running {
    pub fn new(
        candidate: CandidateId,
        continues: bool,
        upstream: Option<Attempt>,
        started: Timestamp,
    ) -> Self {
        Self {
            candidate,
            upstream,
            continues,
            started,
            headers: HeaderMap::new(),
            held: Vec::new(),
            held_bytes: 0,
            answer: None,
            whole: None,
            overflow: Vec::new(),
            overflowing: false,
            error: None,
        }
    }

    /// Ends the attempt's request, keeping what it said.
    pub fn stop(&mut self) {
        if let Some(upstream) = self.upstream.take()
            && self.answer.is_none()
        {
            self.answer = upstream.answer().cloned().map(Arc::new);
        }
    }

    pub fn answer_text(&self) -> Arc<AnswerText> {
        match (&self.answer, &self.upstream) {
            (Some(answer), _) => Arc::clone(answer),
            (None, Some(upstream)) => Arc::new(upstream.answer().cloned().unwrap_or_default()),
            (None, None) => Arc::default(),
        }
    }

    pub fn complete(&mut self, body: Bytes, whole: Whole) {
        self.answer = Some(Arc::new(whole.answer));
        self.whole = Some(body);
    }

    /// Keeps pieces back until the commit. Comments are not worth keeping.
    pub fn hold(&mut self, pieces: Vec<Piece>) -> Forwarded {
        let mut seen = Forwarded::nothing();
        for piece in &pieces {
            self.held_bytes += piece.frame.bytes.len();
            match &piece.part {
                Part::Content(content) => seen.add(*content),
                Part::Finish(content) => {
                    if let Some(content) = content {
                        seen.add(*content);
                    }
                    seen.finished = true;
                }
                Part::Comment
                | Part::Lifecycle
                | Part::Usage
                | Part::Done
                | Part::Error(_)
                | Part::Malformed { .. } => {}
            }
        }
        let worth = pieces.into_iter().filter(|piece| !matches!(piece.part, Part::Comment));
        self.held.extend(worth);
        seen
    }
}
