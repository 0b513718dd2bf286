//! An attempt as the driver holds it: its upstream, and what is kept back of
//! its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::relay::Forwarded;
use crate::dialect::{AnswerText, Part};
use crate::failover::{CandidateId, Timestamp};
use crate::upstream::{Attempt, ErrorBody, Piece, Whole, WholeContent};

/// A beginning that a policy replaced.
#[derive(Debug)]
pub struct Amended {
    pub text: String,
    /// Bytes of the attempt's own text that it stands for.
    pub replaced: usize,
}

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
    /// Bytes of answer text held.
    pub held_text: usize,
    /// Bytes of white space that its text begins with, as far as it was looked at.
    blank: usize,
    /// What the client has in place of its beginning.
    pub amended: Option<Amended>,
    /// What it said: of a whole answer, or of a stream that ended.
    pub answer: Option<Arc<AnswerText>>,
    pub whole: Option<WholeContent>,
    /// The client's fields that it was not sent.
    pub dropped: Vec<String>,
    pub overflow: Vec<Bytes>,
    pub overflowing: bool,
    pub error: Option<ErrorBody>,
}

impl Running {
    pub fn new(
        candidate: CandidateId,
        continues: bool,
        upstream: Option<Attempt>,
        dropped: Vec<String>,
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
            held_text: 0,
            blank: 0,
            amended: None,
            answer: None,
            whole: None,
            dropped,
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

    /// Whether it said nothing so far.
    pub fn is_blank(&mut self) -> bool {
        let upstream = self.upstream.as_ref();
        let said = self.answer.as_deref().or_else(|| upstream.and_then(Attempt::answer));
        said.is_none_or(|said| {
            let new = said.text.get(self.blank..).unwrap_or_default();
            self.blank += new.len() - new.trim_start().len();
            self.blank >= said.text.len() && said.tool_calls.is_empty()
        })
    }

    /// The same as the client has it.
    pub fn delivered_text(&self) -> Arc<AnswerText> {
        let own = self.answer_text();
        let Some(Amended { text, replaced }) = &self.amended else { return own };
        let rest = own.text.get(*replaced..).unwrap_or_default();
        Arc::new(own.with_text(format!("{text}{rest}")))
    }

    pub fn complete(&mut self, whole: Whole) {
        self.answer = Some(Arc::new(whole.text));
        self.whole = Some(whole.content);
    }

    /// Keeps pieces back until the commit. Comments are not worth keeping.
    pub fn hold(&mut self, pieces: Vec<Piece>) -> Forwarded {
        let mut seen = Forwarded::nothing();
        for piece in &pieces {
            self.held_bytes += piece.size();
            seen.add(&piece.part);
        }
        self.held_text += seen.text as usize;
        let worth = pieces.into_iter().filter(|piece| piece.part != Part::Comment);
        self.held.extend(worth);
        seen
    }
}
