//! Worlds, rows, events and opinions from the words of the scripts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Row;
use crate::failover::attempt::{ErrorReply, Outcome, Progress};
use crate::failover::consult::{
    Edit, Launch, NextStep, Opinion, PolicyRefusal, Ruling, Selection, Verdict,
};
use crate::failover::exchange::{Candidate, Event, Route};
use crate::failover::health::{Credential, Observation, Target};
use crate::failover::rules::{Concurrency, Hold, Rescue};
use crate::failover::{
    AttemptId, Call, CallRules, CandidateId, FailureClass, Features, Operation, TargetFacts,
    TargetRules, Timestamp,
};

/// The targets, the rules and the call of a script.
pub(in crate::failover::exchange) struct World {
    pub(in crate::failover::exchange) route: Arc<Route>,
    call: Arc<Call>,
    pub(super) shows_questions: bool,
}

impl World {
    /// `a b(full=1,no-tools) | deadline=3s whole`: targets in the order of their
    /// priority with what is special about them, then rules and the call.
    pub(in crate::failover::exchange) fn read(line: &str, own_policy: bool) -> Self {
        let (targets, settings) = line.split_once('|').unwrap_or((line, ""));
        let mut credentials = BTreeMap::new();
        let candidates = targets
            .split_whitespace()
            .zip(1..)
            .map(|(words, n)| candidate(words, n, &mut credentials))
            .collect();
        let mut call = plain_call(own_policy);
        let mut rules = CallRules::default();
        let mut shows_questions = false;
        for word in settings.split_whitespace() {
            match word {
                "ask" => shows_questions = true,
                other if set_call(&mut call, other) => {}
                other => set_rule(&mut rules, other),
            }
        }
        let route = Route { name: "r".to_owned(), rules, candidates };
        Self { route: Arc::new(route), call: Arc::new(call), shows_questions }
    }

    pub(in crate::failover::exchange) fn call(&self) -> Arc<Call> {
        Arc::clone(&self.call)
    }

    pub(super) fn target(&self, name: &str) -> &Arc<Target> {
        let found = self.route.candidates.iter().find(|c| c.facts.target == name);
        &found.unwrap_or_else(|| panic!("no target {name}")).target
    }
}

fn plain_call(own_policy: bool) -> Call {
    Call {
        id: "t".to_owned(),
        model: "m".to_owned(),
        operation: Operation::Chat,
        needs: Features::STREAMING,
        input_tokens: 100,
        max_output_tokens: None,
        tenant: None,
        labels: Vec::new(),
        origin_unix: Duration::from_secs(1_700_000_000),
        seed: 7,
        own_policy,
    }
}

fn set_call(call: &mut Call, word: &str) -> bool {
    match word.split_once('=').unwrap_or((word, "")) {
        ("whole", "") => call.needs = call.needs.without(Features::STREAMING),
        ("tools", "") => call.needs = call.needs | Features::TOOLS,
        ("embeddings", "") => call.operation = Operation::Embeddings,
        ("input", tokens) => call.input_tokens = tokens.parse().expect("tokens"),
        ("output", tokens) => call.max_output_tokens = Some(tokens.parse().expect("tokens")),
        _ => return false,
    }
    true
}

fn set_rule(rules: &mut CallRules, word: &str) {
    let (name, value) = word.split_once('=').expect("NAME=VALUE");
    match name {
        "deadline" => rules.deadline = length(value),
        "attempts" => rules.attempts = value.parse().expect("attempts"),
        "per-target" => rules.attempts_per_target = value.parse().expect("attempts"),
        "wait" => rules.retry_after_wait = length(value),
        "backoff" => (rules.backoff_base, rules.backoff_max) = (length(value), length(value)),
        "cooldown" => rules.cooldown_max = length(value),
        "rescue" if value == "error" => rules.rescue = Rescue::Error,
        "hold" if value == "all" => rules.hold = Hold::All,
        "hold" => rules.hold = Hold::Bytes(value.parse().expect("bytes")),
        other => panic!("no rule {other}"),
    }
}

fn candidate(words: &str, n: u32, keys: &mut BTreeMap<String, Arc<Credential>>) -> Candidate {
    let (name, special) = words.split_once('(').unwrap_or((words, ""));
    let mut facts = TargetFacts {
        target: name.to_owned(),
        provider: name.to_owned(),
        model: "m".to_owned(),
        priority: n,
        weight: 1,
        offers: Features::ALL,
        context_window: None,
        input_price: None,
        output_price: None,
    };
    let mut rules = TargetRules::default();
    let mut key = name;
    for word in special.trim_end_matches(')').split(',').filter(|word| !word.is_empty()) {
        match word.split_once('=').unwrap_or((word, "")) {
            ("model", name) => name.clone_into(&mut facts.model),
            ("no-prefill", _) => facts.offers = facts.offers.without(Features::PREFILL),
            ("no-tools", _) => facts.offers = facts.offers.without(Features::TOOLS),
            ("window", tokens) => facts.context_window = Some(tokens.parse().expect("tokens")),
            ("priority", n) => facts.priority = n.parse().expect("priority"),
            ("full", n) => rules.concurrency = Concurrency::Fixed(n.parse().expect("calls")),
            ("hedges", ratio) => {
                rules.hedge_ratio = ratio.parse().expect("ratio");
                rules.retry_min_per_second = 100;
            }
            ("row", n) => rules.breaker.consecutive_failures = n.parse().expect("failures"),
            ("adaptive", n) => {
                rules.concurrency = Concurrency::Adaptive { max: n.parse().expect("calls") };
            }
            ("key", name) => key = name,
            (other, _) => panic!("nothing special called {other}"),
        }
    }
    let credential = Arc::clone(keys.entry(key.to_owned()).or_default());
    let target = Arc::new(Target::new(rules, credential, u64::from(n)));
    Candidate { facts: Arc::new(facts), target }
}

impl<'a> Row<'a> {
    /// `[#EXCHANGE] TIME [EVENT] [-> ACTION, …]`.
    pub(super) fn read(line: &'a str) -> Self {
        let (said, expected) = line.split_once("->").unwrap_or((line, ""));
        let said = said.trim();
        let (exchange, said) = match said.strip_prefix('#').and_then(|s| s.split_once(' ')) {
            Some((number, rest)) => (number.parse::<usize>().expect("a number") - 1, rest),
            None => (0, said),
        };
        let (at, event) = said.trim().split_once(' ').unwrap_or((said, ""));
        let expected = expected.split(", ").map(str::trim).collect::<Vec<_>>().join(", ");
        let at = Timestamp::ORIGIN + length(at);
        Self { at, exchange, event: event.trim(), expected }
    }
}

/// `250ms`, `3s`, `2m`, `1h`.
pub(super) fn length(text: &str) -> Duration {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let number: u64 = digits.parse().unwrap_or_else(|_| panic!("no length: {text:?}"));
    match &text[digits.len()..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(60 * number),
        "h" => Duration::from_secs(3_600 * number),
        unit => panic!("no unit of time: {unit:?}"),
    }
}

pub(super) fn class(label: &str) -> Option<FailureClass> {
    FailureClass::ALL.into_iter().find(|class| class.label() == label)
}

pub(super) fn failed(label: &str) -> Observation {
    let class = class(label).expect("a class");
    Observation::Failed {
        class,
        weight: class.weight(),
        elapsed: Duration::from_millis(5),
        least_pause: Duration::ZERO,
        congested: false,
    }
}

/// `a1 content 5`: what happened to the attempt.
pub(super) fn attempt_event(attempt: &str, words: &[&str]) -> Event {
    let number = attempt.trim_start_matches(char::is_alphabetic);
    let number: u32 = number.parse().unwrap_or_else(|_| panic!("no attempt: {attempt}"));
    let id = AttemptId(number - 1);
    match progress(words) {
        Some(progress) => Event::Progress(id, progress),
        None => Event::Ended(id, outcome(words)),
    }
}

fn progress(words: &[&str]) -> Option<Progress> {
    Some(match words {
        ["headers"] => Progress::Headers,
        ["content", text] => {
            let text = text.parse().expect("bytes");
            Progress::Content { text, blank: text == 0, continuable: true }
        }
        ["blank", text] => {
            let text = text.parse().expect("bytes");
            Progress::Content { text, blank: true, continuable: true }
        }
        ["tool-call"] => Progress::Content { text: 0, blank: false, continuable: false },
        ["finished"] => Progress::Finished,
        ["blocked"] => Progress::Blocked,
        ["unblocked"] => Progress::Unblocked,
        ["overflow"] => Progress::Overflow,
        _ => return None,
    })
}

fn outcome(words: &[&str]) -> Outcome {
    let detail = String::new();
    match words {
        ["done"] => Outcome::Completed,
        ["unreachable"] => Outcome::Unreachable { detail },
        ["connect-timeout"] => Outcome::ConnectTimeout,
        ["reset"] => Outcome::Reset { detail },
        ["cut"] => Outcome::Cut { detail },
        ["malformed"] => Outcome::Malformed { detail },
        ["no-answer"] => Outcome::NotAnAnswer { detail },
        ["unsupported"] => Outcome::Unsupported { field: "n".to_owned(), detail },
        ["unreadable"] => Outcome::Unreadable { field: "n".to_owned(), detail },
        [status, rest @ ..] => Outcome::Error(reply(status.parse().expect("a status"), rest)),
        [] => panic!("what happened?"),
    }
}

/// `429 retry-after=2s`, `400 context-length`.
fn reply(status: u16, words: &[&str]) -> ErrorReply {
    let usual = match status {
        400 => FailureClass::BadRequest,
        401 => FailureClass::Authentication,
        403 => FailureClass::Permission,
        404 => FailureClass::NotFound,
        429 => FailureClass::RateLimited,
        503 | 529 => FailureClass::Overloaded,
        500.. => FailureClass::ServerError,
        _ => FailureClass::Unknown,
    };
    let named = words.iter().find_map(|word| class(word));
    let after = words.iter().find_map(|word| word.strip_prefix("retry-after="));
    ErrorReply {
        status,
        class: named.unwrap_or(usual),
        code: String::new(),
        message: String::new(),
        retry_after: after.map(length),
    }
}

/// `launch a, b after 50ms`, `retry 100ms`, `reject empty`, `none`, …
pub(super) fn opinion(text: &str) -> Opinion {
    let words: Vec<_> = text.split_whitespace().collect();
    match words[..] {
        ["none"] => Opinion::None,
        ["fault"] => Opinion::Fault { reason: "trapped".to_owned() },
        ["unasked"] => Opinion::Unasked { reason: "no thread".to_owned() },
        ["launch", ..] => {
            let launches = text.trim_start_matches("launch").trim();
            let each = launches.split(',').map(str::trim).filter(|one| !one.is_empty());
            Opinion::Select(Selection::Launch(each.map(launch).collect()))
        }
        ["wait", time] => Opinion::Select(Selection::Wait(length(time))),
        ["defer"] => Opinion::Select(Selection::Defer),
        ["say", words] => Opinion::Select(Selection::Answer(words.to_owned())),
        ["refuse", status] => Opinion::Select(Selection::Refuse(PolicyRefusal {
            status: status.parse().expect("a status"),
            code: "said_so".to_owned(),
            message: String::new(),
            retry_after: None,
        })),
        ["accept"] => Opinion::Validate(Verdict::Accept),
        ["amend", words] => Opinion::Validate(Verdict::Amend(words.to_owned())),
        ["reject", reason] => {
            Opinion::Validate(Verdict::Reject { reason: reason.to_owned(), counts: false })
        }
        ["reject", reason, "counts"] => {
            Opinion::Validate(Verdict::Reject { reason: reason.to_owned(), counts: true })
        }
        [..] => Opinion::Classify(ruling(&words)),
    }
}

/// `b after 50ms first 2s total 9s without /x`, by the target's place in the alphabet.
fn launch(text: &str) -> Launch {
    let mut words = text.split_whitespace();
    let name = words.next().expect("a target");
    let place = name.bytes().next().map_or(0, |letter| u32::from(letter.wrapping_sub(b'a')));
    let mut launch = Launch::plain(CandidateId(place));
    while let (Some(what), Some(value)) = (words.next(), words.next()) {
        match what {
            "after" => launch.after = length(value),
            "first" => launch.first_token_timeout = Some(length(value)),
            "total" => launch.total_timeout = Some(length(value)),
            "without" => launch.edits.push(Edit { pointer: value.to_owned(), value: None }),
            other => panic!("a launch has no {other}"),
        }
    }
    launch
}

/// `[CLASS] [uncounted] [cool 3s] retry 100ms|reselect|surface`.
fn ruling(words: &[&str]) -> Ruling {
    let after = |what| words.iter().position(|word| *word == what).map(|n| words[n + 1]);
    let next = if let Some(pause) = after("retry") {
        NextStep::Retry(length(pause))
    } else if words.contains(&"surface") {
        NextStep::Surface
    } else if words.contains(&"reselect") {
        NextStep::Reselect
    } else {
        panic!("no opinion: {words:?}")
    };
    Ruling {
        class: words.iter().find_map(|word| class(word)).unwrap_or(FailureClass::ServerError),
        counts: !words.contains(&"uncounted"),
        cooldown: after("cool").map_or(Duration::ZERO, length),
        next,
    }
}
