//! From a call as the gateway knows it to a line of the journal. Whatever could
//! hold a text of the client, a provider or a policy is left out or measured.

use std::time::Duration;

use super::format::{
    Answer, Attempt, Call, Candidate, Decision, End, Facts, Failure, Fault, Launch, Line, Next,
    Output, Policy, Route, Verb,
};
use super::{OutputFacts, Record};
use crate::failover::attempt::AttemptView;
use crate::failover::call::CandidateView;
use crate::failover::consult::{self, NextStep, Opinion, Ruling, Selection, Verdict};
use crate::failover::{self, Features, TargetFacts};

/// The longest code of a provider that is believed to be one.
const LONGEST_CODE: usize = 64;
/// A header with one of these in its name is not recorded.
const SECRET_WORDS: [&str; 6] = ["auth", "cookie", "credential", "key", "secret", "token"];
/// Of a fault's reason, in characters.
const LONGEST_REASON: usize = 200;

pub fn line(record: &Record) -> Line {
    let Record { call, route, settings, policy, begun, decisions, left_out, end } = record;
    let at = call.origin_unix + begun.since_origin();
    Line {
        id: call.id.clone(),
        at_unix_ms: ms(at),
        call: Call {
            model: call.model.clone(),
            operation: call.operation.into(),
            needs: names(call.needs),
            input_tokens: call.input_tokens,
            max_output_tokens: call.max_output_tokens,
            tenant: call.tenant.clone(),
            labels: call.labels.iter().filter(|(name, _)| !is_secret(name)).cloned().collect(),
            seed: call.seed,
            own_policy: call.own_policy,
        },
        route: Route {
            name: route.name.clone(),
            settings: settings.to_string(),
            cooldown_max_ms: ms(route.rules.cooldown_max),
            candidates: route.candidates.iter().map(|c| facts(&c.facts)).collect(),
        },
        policy: Policy { name: policy.0.clone(), digest: policy.1.clone() },
        decisions: decisions.iter().map(decision).collect(),
        left_out: *left_out,
        end: End {
            outcome: end.outcome.to_owned(),
            status: end.status,
            cause: end.cause.map(str::to_owned),
            attempts: end.attempts,
            target: end.target.clone(),
            duration_ms: ms(end.at.since(*begun)),
        },
    }
}

/// Whether a header is likely to carry a credential, whatever the operator lets
/// policies see.
fn is_secret(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| header.contains(word))
}

fn ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn names(features: Features) -> Vec<String> {
    let has = |(name, feature): &(&'static str, Features)| {
        features.contains(*feature).then(|| (*name).to_owned())
    };
    Features::NAMES.iter().filter_map(has).collect()
}

fn facts(facts: &TargetFacts) -> Facts {
    Facts {
        provider: facts.provider.clone(),
        model: facts.model.clone(),
        priority: facts.priority,
        weight: facts.weight,
        offers: names(facts.offers),
        context_window: facts.context_window,
        input_price: facts.input_price,
        output_price: facts.output_price,
    }
}

fn decision(decision: &super::Decision) -> Decision {
    let question = &decision.question;
    Decision {
        verb: verb(question.verb),
        asked: question.decider.into(),
        time_left_ns: u64::try_from(question.time_left.as_nanos()).unwrap_or(u64::MAX),
        attempts_left: question.attempts_left,
        delivered: question.delivered,
        now_unix_ms: question.now_unix_ms,
        seed: question.seed,
        candidates: question.candidates.iter().map(candidate).collect(),
        attempts: question.attempts.iter().map(attempt).collect(),
        output: decision.output.map(output),
        decider: decision.decider.into(),
        answer: answer(&decision.opinion),
        faults: decision.faults.iter().map(fault).collect(),
    }
}

fn verb(verb: consult::Verb) -> Verb {
    match verb {
        consult::Verb::SelectProvider => Verb::SelectProvider,
        consult::Verb::ClassifyError { attempt } => Verb::ClassifyError { attempt: attempt.0 },
        consult::Verb::ValidateOutput { attempt, candidate, complete } => {
            Verb::ValidateOutput { attempt: attempt.0, candidate: candidate.0, complete }
        }
    }
}

fn candidate(view: &CandidateView) -> Candidate {
    let health = &view.health;
    Candidate {
        circuit: health.circuit.into(),
        cooldown_ms: ms(health.cooldown),
        samples: health.samples,
        error_rate: health.error_rate,
        consecutive_failures: health.consecutive_failures,
        in_flight: health.in_flight,
        first_token_p50_ms: ms(health.first_token_p50),
        first_token_p95_ms: ms(health.first_token_p95),
        total_p50_ms: ms(health.total_p50),
        total_p95_ms: ms(health.total_p95),
        load: health.load,
        requests_left: health.requests_left,
        tokens_left: health.tokens_left,
        tried: view.tried,
        barred: view.barred.map(Into::into),
    }
}

fn attempt(view: &AttemptView) -> Attempt {
    Attempt {
        candidate: view.candidate.0,
        elapsed_ms: ms(view.elapsed),
        first_token_ms: view.first_token.map(ms),
        failure: view.failure.as_ref().map(failure),
    }
}

fn failure(failure: &failover::Failure) -> Failure {
    Failure {
        phase: failure.phase.into(),
        class: failure.class.into(),
        status: failure.status,
        code: if is_code(&failure.code) { failure.code.clone() } else { String::new() },
        retry_after_ms: failure.retry_after.map(ms),
    }
}

/// Whether a provider's code is one, and no sentence and no key: words joined by
/// underscores, with few digits.
fn is_code(code: &str) -> bool {
    let letters = code.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let digits = code.chars().filter(char::is_ascii_digit).count();
    (1..=LONGEST_CODE).contains(&code.len()) && letters && digits <= 4
}

fn output(facts: OutputFacts) -> Output {
    Output {
        complete: facts.complete,
        text_length: facts.text_length,
        finish: facts.finish.into(),
        tool_calls: facts.tool_calls,
    }
}

fn answer(opinion: &Opinion) -> Answer {
    match opinion {
        Opinion::None | Opinion::Fault { .. } | Opinion::Unasked { .. } => Answer::Nothing,
        Opinion::Select(selection) => selected(selection),
        Opinion::Classify(ruling) => ruled(ruling),
        Opinion::Validate(Verdict::Accept) => Answer::Accept,
        Opinion::Validate(Verdict::Amend(text)) => Answer::AmendBytes(text.len()),
        Opinion::Validate(Verdict::Reject { reason, counts }) => {
            Answer::Reject { counts: *counts, reason_bytes: reason.len() }
        }
    }
}

fn selected(selection: &Selection) -> Answer {
    match selection {
        Selection::Launch(launches) => Answer::Launch(launches.iter().map(launch).collect()),
        Selection::Wait(length) => Answer::WaitMs(ms(*length)),
        Selection::Defer => Answer::Defer,
        Selection::Answer(text) => Answer::AnswerBytes(text.len()),
        Selection::Refuse(refusal) => {
            Answer::Refuse { status: refusal.status, retry_after_ms: refusal.retry_after.map(ms) }
        }
    }
}

fn launch(launch: &consult::Launch) -> Launch {
    Launch {
        candidate: launch.candidate.0,
        after_ms: ms(launch.after),
        first_token_timeout_ms: launch.first_token_timeout.map(ms),
        total_timeout_ms: launch.total_timeout.map(ms),
        edits: launch.edits.len(),
    }
}

fn ruled(ruling: &Ruling) -> Answer {
    let next = match ruling.next {
        NextStep::Retry(pause) => Next::RetryMs(ms(pause)),
        NextStep::Reselect => Next::Reselect,
        NextStep::Surface => Next::Surface,
    };
    Answer::Rule {
        class: ruling.class.into(),
        counts: ruling.counts,
        cooldown_ms: ms(ruling.cooldown),
        next,
    }
}

fn fault((decider, reason): &(failover::Decider, String)) -> Fault {
    Fault { decider: (*decider).into(), reason: reason.chars().take(LONGEST_REASON).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_with_credentials_are_told_from_others() {
        for (header, expected) in [
            ("Authorization", true),
            ("x-api-key", true),
            ("cookie", true),
            ("x-team", false),
            ("x-session", false),
        ] {
            assert_eq!(is_secret(header), expected, "{header}");
        }
    }

    #[test]
    fn codes_are_told_from_words_and_keys() {
        for (code, expected) in [
            ("rate_limit_exceeded", true),
            ("RESOURCE_EXHAUSTED", true),
            ("E1234", true),
            ("", false),
            ("the prompt was: hello", false),
            ("sk-abcdef", false),
            ("sk_0123456789abcdef", false),
            ("naïve", false),
            (&"x".repeat(65), false),
        ] {
            assert_eq!(is_code(code), expected, "{code}");
        }
    }
}
