//! The question to the policy, the answer from it, and its admission.

use std::time::Duration;

use super::attempt::AttemptView;
use super::call::{AttemptId, CandidateId, CandidateView};
use super::classify::FailureClass;

/// What a decider is asked. Everything the decision may depend on is in here,
/// except the bodies, which the driver holds.
#[derive(Clone, Debug)]
pub struct Question {
    /// Counts the questions of one exchange; an answer names its question.
    pub number: u32,
    pub verb: Verb,
    pub decider: Decider,
    /// Left of the whole call's time and attempts.
    pub time_left: Duration,
    pub attempts_left: u32,
    /// Bytes of answer text the client already has.
    pub delivered: u32,
    /// Unix time in milliseconds.
    pub now_unix_ms: f64,
    pub seed: u32,
    pub candidates: Vec<CandidateView>,
    /// Finished attempts, oldest first. For `ClassifyError` the failed one is last.
    pub attempts: Vec<AttemptView>,
}

/// Which of the three decisions is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    SelectProvider,
    ClassifyError {
        attempt: AttemptId,
    },
    /// `complete` is false for the held beginning of a stream.
    ValidateOutput {
        attempt: AttemptId,
        candidate: CandidateId,
        complete: bool,
    },
}

impl Verb {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::SelectProvider => "select-provider",
            Self::ClassifyError { .. } => "classify-error",
            Self::ValidateOutput { .. } => "validate-output",
        }
    }
}

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decider {
    /// The route's own policy.
    Policy,
    /// The built-in policy.
    BuiltIn,
    /// The heart itself, when neither had a usable answer.
    Fallback,
}

impl Decider {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::BuiltIn => "built-in",
            Self::Fallback => "fallback",
        }
    }
}

/// A decider's answer to one question.
#[derive(Clone, PartialEq, Debug)]
pub enum Opinion {
    /// No opinion: the next decider is asked.
    None,
    Select(Selection),
    Classify(Ruling),
    Validate(Verdict),
    /// It trapped, overran or answered nonsense: the next decider is asked.
    Fault {
        reason: String,
    },
    /// It could not be asked, through no fault of its own: the next decider is.
    Unasked {
        reason: String,
    },
}

#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The question's number.
    pub number: u32,
    pub opinion: Opinion,
}

/// Where the call goes.
#[derive(Clone, PartialEq, Debug)]
pub enum Selection {
    Launch(Vec<Launch>),
    Wait(Duration),
    Defer,
    Answer(String),
    Refuse(PolicyRefusal),
}

/// One attempt to start.
#[derive(Clone, PartialEq, Debug)]
pub struct Launch {
    pub candidate: CandidateId,
    /// After the first launch of the plan.
    pub after: Duration,
    pub first_token_timeout: Option<Duration>,
    pub total_timeout: Option<Duration>,
    pub edits: Vec<Edit>,
}

impl Launch {
    /// A launch now, with the route's limits.
    #[must_use]
    pub const fn plain(candidate: CandidateId) -> Self {
        Self {
            candidate,
            after: Duration::ZERO,
            first_token_timeout: None,
            total_timeout: None,
            edits: Vec::new(),
        }
    }
}

/// A change to the request: the JSON at a pointer, or its removal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// RFC 6901.
    pub pointer: String,
    /// JSON text.
    pub value: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyRefusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub retry_after: Option<Duration>,
}

/// What a failure means and what follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ruling {
    pub class: FailureClass,
    pub counts: bool,
    pub cooldown: Duration,
    pub next: NextStep,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextStep {
    /// The same target again, after a pause; zero is the pause of the route's
    /// schedule. Never sooner than the provider asked, and not at all if that
    /// is longer than the route waits.
    Retry(Duration),
    Reselect,
    /// Hand this failure to the client as it is.
    Surface,
}

/// Whether an answer may be delivered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Accept,
    Amend(String),
    Reject { reason: String, counts: bool },
}

/// The most text a policy may answer with, in bytes.
const LONGEST_TEXT: usize = 4 << 20;
/// The longest code, message or reason a policy may give, in bytes.
const LONGEST_REASON: usize = 8 << 10;

/// The limits an answer is held to, at the moment it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    pub candidates: usize,
    pub time_left: Duration,
    pub attempts_left: u32,
    pub cooldown_max: Duration,
    /// The client already has part of an answer.
    pub committed: bool,
}

impl Admission {
    /// The limits a question itself tells of. `cooldown_max` is the route's.
    #[must_use]
    pub const fn of(question: &Question, cooldown_max: Duration) -> Self {
        Self {
            candidates: question.candidates.len(),
            time_left: question.time_left,
            attempts_left: question.attempts_left,
            cooldown_max,
            committed: question.delivered > 0,
        }
    }

    /// Whether the opinion answers the question and can be done; `Ok(false)` is
    /// no opinion.
    pub fn admit(&self, verb: Verb, opinion: &Opinion) -> Result<bool, String> {
        match (verb, opinion) {
            (_, Opinion::None) => return Ok(false),
            (_, Opinion::Fault { reason } | Opinion::Unasked { reason }) => {
                return Err(reason.clone());
            }
            (Verb::SelectProvider, Opinion::Select(selection)) => self.selection(selection)?,
            (Verb::ClassifyError { .. }, Opinion::Classify(ruling)) => self.ruling(ruling)?,
            (Verb::ValidateOutput { .. }, Opinion::Validate(verdict)) => self.verdict(verdict)?,
            (
                Verb::SelectProvider | Verb::ClassifyError { .. } | Verb::ValidateOutput { .. },
                Opinion::Select(_) | Opinion::Classify(_) | Opinion::Validate(_),
            ) => return Err("answered another question".to_owned()),
        }
        Ok(true)
    }

    /// The selection, or why it cannot be done.
    pub fn selection(&self, selection: &Selection) -> Result<(), String> {
        match selection {
            Selection::Launch(launches) => self.launches(launches),
            Selection::Wait(length) => self.in_time("a wait", *length),
            Selection::Defer if self.committed => Err("deferred a delivered answer".to_owned()),
            Selection::Answer(_) if self.committed => Err("answered a delivered answer".to_owned()),
            Selection::Defer => Ok(()),
            Selection::Answer(text) => bounded("the answer", text, LONGEST_TEXT),
            Selection::Refuse(refusal) => {
                if !(400..600).contains(&refusal.status) {
                    return Err(format!("refused with status {}, not 400 to 599", refusal.status));
                }
                bounded("the refusal's code", &refusal.code, LONGEST_REASON)?;
                bounded("the refusal's message", &refusal.message, LONGEST_REASON)
            }
        }
    }

    fn launches(&self, launches: &[Launch]) -> Result<(), String> {
        if launches.is_empty() {
            return Err("a plan without a launch".to_owned());
        }
        if launches.len() > self.attempts_left as usize {
            let (planned, left) = (launches.len(), self.attempts_left);
            return Err(format!("{planned} launches with {left} attempts left"));
        }
        for launch in launches {
            let id = launch.candidate.0;
            if launch.candidate.index() >= self.candidates {
                return Err(format!("candidate {id} of {}", self.candidates));
            }
            if launch.after > Duration::ZERO {
                self.in_time("a launch", launch.after)?;
            }
            for limit in [launch.first_token_timeout, launch.total_timeout].into_iter().flatten() {
                if limit > self.time_left {
                    return Err(format!(
                        "a timeout of {limit:?} beyond the deadline in {:?}",
                        self.time_left
                    ));
                }
                if limit.is_zero() {
                    return Err("a timeout of zero".to_owned());
                }
            }
        }
        Ok(())
    }

    /// The ruling, or why it cannot be done.
    pub fn ruling(&self, ruling: &Ruling) -> Result<(), String> {
        if ruling.cooldown > self.cooldown_max {
            let (asked, most) = (ruling.cooldown, self.cooldown_max);
            return Err(format!("a cooldown of {asked:?}, longer than {most:?}"));
        }
        match ruling.next {
            NextStep::Retry(pause) => self.in_time("a retry", pause),
            NextStep::Reselect | NextStep::Surface => Ok(()),
        }
    }

    /// The verdict, or why it cannot be done.
    pub fn verdict(&self, verdict: &Verdict) -> Result<(), String> {
        match verdict {
            Verdict::Accept => Ok(()),
            Verdict::Amend(_) if self.committed => Err("amended a delivered answer".to_owned()),
            Verdict::Amend(text) => bounded("the amendment", text, LONGEST_TEXT),
            Verdict::Reject { reason, .. } => bounded("the reason", reason, LONGEST_REASON),
        }
    }

    fn in_time(&self, what: &str, length: Duration) -> Result<(), String> {
        if length < self.time_left {
            return Ok(());
        }
        Err(format!("{what} in {length:?}, beyond the deadline in {:?}", self.time_left))
    }
}

fn bounded(what: &str, text: &str, most: usize) -> Result<(), String> {
    if text.len() <= most {
        return Ok(());
    }
    Err(format!("{what} has {} bytes, more than {most}", text.len()))
}

impl Opinion {
    /// In a few words, for the trace. Never the text of an answer.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::None => "no opinion".to_owned(),
            Self::Fault { reason } => format!("fault: {reason}"),
            Self::Unasked { reason } => format!("not asked: {reason}"),
            Self::Select(selection) => selection.describe(),
            Self::Classify(ruling) => ruling.describe(),
            Self::Validate(Verdict::Accept) => "accept".to_owned(),
            Self::Validate(Verdict::Amend(text)) => format!("amend ({} bytes)", text.len()),
            Self::Validate(Verdict::Reject { reason, counts }) => {
                format!("reject: {reason}{}", if *counts { " (counts)" } else { "" })
            }
        }
    }
}

impl Selection {
    fn describe(&self) -> String {
        match self {
            Self::Launch(launches) => {
                let each = launches.iter().map(|launch| match launch.after {
                    Duration::ZERO => format!("{}", launch.candidate.0),
                    after => format!("{} after {} ms", launch.candidate.0, after.as_millis()),
                });
                format!("launch {}", each.collect::<Vec<_>>().join(", "))
            }
            Self::Wait(length) => format!("wait {} ms", length.as_millis()),
            Self::Defer => "defer".to_owned(),
            Self::Answer(text) => format!("answer ({} bytes)", text.len()),
            Self::Refuse(refusal) => format!("refuse {} {}", refusal.status, refusal.code),
        }
    }
}

impl Ruling {
    fn describe(&self) -> String {
        let next = match self.next {
            NextStep::Retry(pause) => format!("retry in {} ms", pause.as_millis()),
            NextStep::Reselect => "reselect".to_owned(),
            NextStep::Surface => "surface".to_owned(),
        };
        let cooldown = match self.cooldown {
            Duration::ZERO => String::new(),
            length => format!(", cool down {} ms", length.as_millis()),
        };
        format!("{}: {next}{cooldown}", self.class.label())
    }
}
