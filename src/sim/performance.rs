//! How one attempt goes, decided when it begins: what will be reported of it,
//! and when. Decides; schedules nothing.

use std::collections::VecDeque;
use std::time::Duration;

use super::fault::{Fault, error};
use super::numbers::{count, from_ms, micros};
use super::scenario::Provider;
use crate::failover::backoff::Rng;
use crate::failover::{Outcome, Timestamp};

/// Bytes of a token, about.
pub const TOKEN_BYTES: u32 = 4;
/// Text of a stream is reported this often; nothing depends on every token.
const REPORTED_EVERY: Duration = Duration::from_secs(1);

/// What an upstream would report of an attempt.
#[derive(Clone, PartialEq, Debug)]
pub enum Report {
    Headers {
        requests_left: Option<u32>,
        tokens_left: Option<u32>,
    },
    /// So many tokens of a stream.
    Text(u32),
    Finished,
    Ended(Outcome),
}

/// A report and when it comes, from the beginning of the attempt on.
#[derive(Clone, PartialEq, Debug)]
pub struct Beat {
    pub after: Duration,
    pub report: Report,
}

/// What the provider would answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// Zero: a proper answer without a word.
    pub tokens: u32,
    pub text: Option<String>,
    /// Whether it is JSON where that was promised.
    pub keeps_promise: bool,
}

/// See the module.
#[derive(Clone, PartialEq, Debug)]
pub struct Performance {
    pub beats: VecDeque<Beat>,
    pub answer: Answer,
    /// How long the provider works on it.
    pub work: Duration,
}

/// What is asked of a provider.
#[derive(Clone, PartialEq, Debug)]
pub struct Ask {
    pub input_tokens: u32,
    pub output_tokens: u32,
    pub streams: bool,
    /// The client was promised JSON.
    pub json: bool,
    /// The text to answer, if the scenario gives one.
    pub text: Option<String>,
    pub first_token: Option<Duration>,
}

/// All that bears on how an attempt goes.
#[derive(Debug)]
pub struct Circumstances<'a> {
    pub provider: &'a Provider,
    pub connect_timeout: Duration,
    pub fault: Option<Fault>,
    /// Everything takes so many times as long.
    pub slower: f64,
    /// And the first token so much longer.
    pub adds: Duration,
    /// When everything under way is cut, if it is.
    pub cut_at: Option<Timestamp>,
    pub requests_left: Option<u32>,
    pub tokens_left: Option<u32>,
}

/// The moments of an attempt that goes well.
struct Course {
    connected: Duration,
    refused: Duration,
    first: Duration,
    /// Milliseconds a token.
    pace: f64,
}

impl Course {
    fn at_token(&self, tokens: u32) -> Duration {
        self.first + from_ms(self.pace * f64::from(tokens.saturating_sub(1)))
    }
}

/// How an attempt that begins now goes.
pub fn perform(
    ask: &Ask,
    circumstances: &Circumstances<'_>,
    now: Timestamp,
    rng: &mut Rng,
) -> Performance {
    let course = course(ask, circumstances, rng);
    let mut performance = match circumstances.fault {
        Some(fault) => failing(ask, circumstances, &course, fault),
        None => good(ask, circumstances, &course),
    };
    if let Some(cut_at) = circumstances.cut_at {
        cut(&mut performance, cut_at.since(now));
    }
    performance
}

fn course(ask: &Ask, circumstances: &Circumstances<'_>, rng: &mut Rng) -> Course {
    let Circumstances { provider, slower, adds, .. } = circumstances;
    let connected = provider.connect.draw_time(rng);
    let drawn = provider.first_token.draw(rng);
    let waited = ask.first_token.unwrap_or_else(|| from_ms(drawn * slower) + *adds);
    Course {
        connected,
        refused: connected + provider.error_latency.draw_time(rng),
        first: connected + waited,
        pace: provider.per_token.draw(rng) * slower,
    }
}

fn good(ask: &Ask, circumstances: &Circumstances<'_>, course: &Course) -> Performance {
    let answer = Answer { tokens: ask.output_tokens, text: ask.text.clone(), keeps_promise: true };
    answered(ask, circumstances, course, answer)
}

/// An answer that comes to its end.
fn answered(
    ask: &Ask,
    circumstances: &Circumstances<'_>,
    course: &Course,
    answer: Answer,
) -> Performance {
    let end = course.at_token(answer.tokens);
    let mut beats = VecDeque::new();
    if ask.streams {
        beats.push_back(headers(circumstances, course.first));
        texts(&mut beats, course, answer.tokens);
        beats.push_back(Beat { after: end, report: Report::Finished });
    } else {
        beats.push_back(headers(circumstances, end));
    }
    beats.push_back(Beat { after: end, report: Report::Ended(Outcome::Completed) });
    Performance { beats, answer, work: end }
}

fn headers(circumstances: &Circumstances<'_>, after: Duration) -> Beat {
    let Circumstances { requests_left, tokens_left, .. } = circumstances;
    let report = Report::Headers { requests_left: *requests_left, tokens_left: *tokens_left };
    Beat { after, report }
}

/// The text of a stream: its first token, then what has come since.
fn texts(beats: &mut VecDeque<Beat>, course: &Course, tokens: u32) {
    if tokens == 0 {
        return;
    }
    beats.push_back(Beat { after: course.first, report: Report::Text(1) });
    let each = from_ms(course.pace).max(Duration::from_nanos(1));
    let step = count(micros(REPORTED_EVERY) as f64 / micros(each).max(1) as f64).max(1);
    let mut said = 1;
    while said < tokens {
        let next = said.saturating_add(step).min(tokens);
        beats.push_back(Beat { after: course.at_token(next), report: Report::Text(next - said) });
        said = next;
    }
}

fn failing(
    ask: &Ask,
    circumstances: &Circumstances<'_>,
    course: &Course,
    fault: Fault,
) -> Performance {
    let detail = "simulated".to_owned();
    let door = |after, outcome| only(vec![Beat { after, report: Report::Ended(outcome) }], after);
    let after_headers = |outcome| {
        let end = Beat { after: course.first, report: Report::Ended(outcome) };
        only(vec![headers(circumstances, course.first), end], course.first)
    };
    let answer = |tokens, keeps_promise| Answer { tokens, text: None, keeps_promise };
    match fault {
        Fault::Refuse => door(course.connected, Outcome::Unreachable { detail }),
        Fault::ConnectTimeout => door(circumstances.connect_timeout, Outcome::ConnectTimeout),
        Fault::Reset => door(course.refused, Outcome::Reset { detail }),
        Fault::Silence => only(Vec::new(), Duration::ZERO),
        Fault::Status { status, class, retry_after } => {
            door(course.refused, error(status, class, retry_after))
        }
        // The end of a stream without a word is the end of a stream.
        Fault::Empty if ask.streams => after_headers(Outcome::Cut { detail }),
        Fault::Empty => after_headers(Outcome::NotAnAnswer { detail }),
        Fault::Cut { after } => {
            broken(ask, circumstances, course, after, Some(Outcome::Cut { detail }))
        }
        Fault::Stall { after } => broken(ask, circumstances, course, after, None),
        Fault::Malformed { .. } if !ask.streams => after_headers(Outcome::NotAnAnswer { detail }),
        Fault::Malformed { after } => {
            broken(ask, circumstances, course, after, Some(Outcome::Malformed { detail }))
        }
        Fault::EmptyAnswer => answered(ask, circumstances, course, answer(0, true)),
        Fault::InvalidJson if ask.json => {
            answered(ask, circumstances, course, answer(ask.output_tokens, false))
        }
        Fault::InvalidJson => good(ask, circumstances, course),
    }
}

/// An attempt of which nothing remains but its end.
fn only(beats: Vec<Beat>, work: Duration) -> Performance {
    let answer = Answer { tokens: 0, text: None, keeps_promise: true };
    Performance { beats: beats.into(), answer, work }
}

/// An answer that ends after so many tokens, or is silent from there on.
fn broken(
    ask: &Ask,
    circumstances: &Circumstances<'_>,
    course: &Course,
    after: u32,
    outcome: Option<Outcome>,
) -> Performance {
    let tokens = after.min(ask.output_tokens);
    let mut beats = VecDeque::from([headers(circumstances, course.first)]);
    if ask.streams {
        texts(&mut beats, course, tokens);
    }
    let end = course.at_token(tokens.saturating_add(1));
    beats.extend(outcome.map(|outcome| Beat { after: end, report: Report::Ended(outcome) }));
    let answer = Answer { tokens, text: ask.text.clone(), keeps_promise: true };
    Performance { beats, answer, work: end }
}

/// Ends an attempt so long after its beginning, if it is still under way then.
fn cut(performance: &mut Performance, after: Duration) {
    let ends = performance.beats.back().map_or(Duration::MAX, |beat| beat.after);
    if ends < after {
        return;
    }
    performance.beats.retain(|beat| beat.after < after);
    let detail = "cut by an outage".to_owned();
    let outcome = if performance.beats.is_empty() {
        Outcome::Reset { detail }
    } else {
        Outcome::Cut { detail }
    };
    performance.beats.push_back(Beat { after, report: Report::Ended(outcome) });
    performance.work = after;
}
