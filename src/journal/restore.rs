//! From a line of the journal back to the questions that were put, and to what
//! the policies could see of them. The texts are not in a journal: whoever looks
//! for them is noted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::format::{
    Answer, Attempt, Candidate, Decision, Facts, Failure, Launch, Line, Next, Output, Verb,
};
use crate::failover::attempt::AttemptView;
use crate::failover::call::{CandidateView, HealthView};
use crate::failover::consult;
use crate::failover::gist::{self, Gist};
use crate::failover::{
    self, AttemptId, CandidateId, FailureClass, Features, Question, TargetFacts, time,
};
use crate::policy::{Finish, Material, OutputView, RequestView, ToolCall};

/// The longest pointer or header name that is repeated.
const LONGEST_NAME: usize = 64;
/// Names kept of one question.
const MOST_NAMES: usize = 16;

/// A line whose call can be asked about again.
pub struct Restored {
    call: Arc<failover::Call>,
    route: Arc<str>,
    settings: Arc<str>,
    facts: Vec<Arc<TargetFacts>>,
    pub cooldown_max: Duration,
}

impl Restored {
    pub fn of(line: &Line) -> Self {
        let call = failover::Call {
            id: line.id.clone(),
            model: line.call.model.clone(),
            operation: line.call.operation.into(),
            needs: features(&line.call.needs),
            input_tokens: line.call.input_tokens,
            max_output_tokens: line.call.max_output_tokens,
            tenant: line.call.tenant.clone(),
            labels: line.call.labels.clone(),
            origin_unix: Duration::ZERO,
            seed: line.call.seed,
            own_policy: line.call.own_policy,
        };
        Self {
            call: Arc::new(call),
            route: line.route.name.as_str().into(),
            settings: line.route.settings.as_str().into(),
            facts: line.route.candidates.iter().map(|known| Arc::new(facts(known))).collect(),
            cooldown_max: Duration::from_millis(line.route.cooldown_max_ms),
        }
    }

    /// The question, unless the line contradicts itself.
    pub fn question(&self, decision: &Decision) -> Option<Question> {
        let known = |candidate: u32| (candidate as usize) < decision.candidates.len();
        let fits = decision.candidates.len() == self.facts.len()
            && can_answer(&decision.answer, decision.verb)
            && launches(&decision.answer).iter().all(|launch| known(launch.candidate))
            && decision.attempts.iter().all(|attempt| known(attempt.candidate));
        let verb = match decision.verb {
            Verb::SelectProvider => consult::Verb::SelectProvider,
            Verb::ClassifyError { attempt } => {
                consult::Verb::ClassifyError { attempt: AttemptId(attempt) }
            }
            Verb::ValidateOutput { attempt, candidate, complete } => {
                let (attempt, candidate) = (AttemptId(attempt), CandidateId(candidate));
                if !known(candidate.0) {
                    return None;
                }
                consult::Verb::ValidateOutput { attempt, candidate, complete }
            }
        };
        let views = self.facts.iter().zip(&decision.candidates);
        fits.then(|| Question {
            number: 1,
            verb,
            decider: decision.asked.into(),
            time_left: Duration::from_nanos(decision.time_left_ns),
            attempts_left: decision.attempts_left,
            delivered: decision.delivered,
            now_unix_ms: decision.now_unix_ms,
            seed: decision.seed,
            candidates: views.map(|(facts, measured)| candidate(facts, measured)).collect(),
            attempts: decision.attempts.iter().map(attempt).collect(),
        })
    }

    /// What a policy is shown; where it looks for what is not there is noted.
    pub fn material(&self, decision: &Decision, looked_for: &LookedFor) -> Material {
        let output = decision.output.clone().map(|output| {
            let looked_for = looked_for.clone();
            Arc::new(Bodiless { output, looked_for }) as Arc<dyn OutputView>
        });
        Material {
            call: Arc::clone(&self.call),
            route: Arc::clone(&self.route),
            settings: Arc::clone(&self.settings),
            request: Arc::new(looked_for.clone()),
            output,
        }
    }

    pub fn target(&self, candidate: CandidateId) -> &str {
        self.facts.get(candidate.index()).map_or("unknown", |facts| &facts.target)
    }
}

fn features(names: &[String]) -> Features {
    let feature_of = |name: &String| {
        let known = Features::NAMES.iter().find(|(known, _)| known == name);
        known.map_or(Features::NONE, |(_, feature)| *feature)
    };
    names.iter().map(feature_of).fold(Features::NONE, |set, feature| set | feature)
}

fn facts(facts: &Facts) -> TargetFacts {
    TargetFacts {
        target: format!("{}/{}", facts.provider, facts.model),
        provider: facts.provider.clone(),
        model: facts.model.clone(),
        priority: facts.priority,
        weight: facts.weight,
        offers: features(&facts.offers),
        context_window: facts.context_window,
        input_price: facts.input_price,
        output_price: facts.output_price,
    }
}

fn candidate(facts: &Arc<TargetFacts>, measured: &Candidate) -> CandidateView {
    let ms = Duration::from_millis;
    CandidateView {
        facts: Arc::clone(facts),
        health: HealthView {
            circuit: measured.circuit.into(),
            cooldown: ms(measured.cooldown_ms),
            samples: measured.samples,
            error_rate: measured.error_rate,
            consecutive_failures: measured.consecutive_failures,
            in_flight: measured.in_flight,
            first_token_p50: ms(measured.first_token_p50_ms),
            first_token_p95: ms(measured.first_token_p95_ms),
            total_p50: ms(measured.total_p50_ms),
            total_p95: ms(measured.total_p95_ms),
            load: measured.load,
            requests_left: measured.requests_left,
            tokens_left: measured.tokens_left,
        },
        tried: measured.tried,
        barred: measured.barred.map(Into::into),
    }
}

fn attempt(attempt: &Attempt) -> AttemptView {
    AttemptView {
        candidate: CandidateId(attempt.candidate),
        elapsed: Duration::from_millis(attempt.elapsed_ms),
        first_token: attempt.first_token_ms.map(Duration::from_millis),
        failure: attempt.failure.as_ref().map(failure),
    }
}

fn failure(failure: &Failure) -> failover::Failure {
    failover::Failure {
        phase: failure.phase.into(),
        class: failure.class.into(),
        status: failure.status,
        code: failure.code.clone(),
        message: String::new(),
        retry_after: failure.retry_after_ms.map(Duration::from_millis),
    }
}

/// Whether something so decided is an answer to the question at all.
const fn can_answer(answer: &Answer, verb: Verb) -> bool {
    match answer {
        Answer::Launch(_)
        | Answer::WaitMs(_)
        | Answer::Defer
        | Answer::AnswerBytes(_)
        | Answer::Refuse { .. } => matches!(verb, Verb::SelectProvider),
        Answer::Rule { .. } => matches!(verb, Verb::ClassifyError { .. }),
        Answer::Accept | Answer::AmendBytes(_) | Answer::Reject { .. } => {
            matches!(verb, Verb::ValidateOutput { .. })
        }
        Answer::Nothing => true,
    }
}

fn launches(answer: &Answer) -> &[Launch] {
    match answer {
        Answer::Launch(launches) => launches,
        Answer::WaitMs(_)
        | Answer::Defer
        | Answer::AnswerBytes(_)
        | Answer::Refuse { .. }
        | Answer::Rule { .. }
        | Answer::Accept
        | Answer::AmendBytes(_)
        | Answer::Reject { .. }
        | Answer::Nothing => &[],
    }
}

/// What was decided, as decisions are compared.
pub fn gist(answer: &Answer) -> Gist {
    match answer {
        Answer::Launch(launches) => launches.first().map_or(Gist::Nothing, |first| Gist::Launch {
            first: CandidateId(first.candidate),
            several: launches.len() > 1,
        }),
        Answer::WaitMs(_) => Gist::Wait,
        Answer::Defer => Gist::Defer,
        Answer::AnswerBytes(_) => Gist::Answer,
        Answer::Refuse { status, .. } => Gist::Refuse { status: *status },
        Answer::Rule { class, counts, cooldown_ms, next } => Gist::Rule {
            class: FailureClass::from(*class),
            counts: *counts,
            cooldown_ms: time::millis(Duration::from_millis(*cooldown_ms)),
            next: match next {
                Next::RetryMs(pause) => {
                    gist::Next::Retry { pause_ms: time::millis(Duration::from_millis(*pause)) }
                }
                Next::Reselect => gist::Next::Reselect,
                Next::Surface => gist::Next::Surface,
            },
        },
        Answer::Accept => Gist::Accept,
        Answer::AmendBytes(_) => Gist::Amend,
        Answer::Reject { counts, .. } => Gist::Reject { counts: *counts },
        Answer::Nothing => Gist::Nothing,
    }
}

/// What a policy looked for that no journal holds, by name.
#[derive(Clone, Debug, Default)]
pub struct LookedFor(Arc<Mutex<BTreeSet<String>>>);

impl LookedFor {
    pub fn names(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    fn note(&self, name: &str) {
        let mut names = self.lock();
        if names.len() < MOST_NAMES {
            let clean = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME);
            names.insert(clean.collect());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestView for LookedFor {
    fn header(&self, name: &str) -> Option<String> {
        self.note(&format!("request header {name}"));
        None
    }

    fn json(&self, pointer: &str) -> Option<String> {
        self.note(&format!("request body {pointer}"));
        None
    }
}

/// An answer of which only the facts are known.
struct Bodiless {
    output: Output,
    looked_for: LookedFor,
}

impl OutputView for Bodiless {
    fn complete(&self) -> bool {
        self.output.complete
    }

    fn text(&self, _: u32, _: u32) -> String {
        // Of an answer without text, that is all of it.
        if self.output.text_length > 0 {
            self.looked_for.note("answer text");
        }
        String::new()
    }

    fn text_length(&self) -> u32 {
        self.output.text_length
    }

    fn tool_calls(&self) -> Vec<ToolCall> {
        if self.output.tool_calls > 0 {
            self.looked_for.note("answer tool calls");
        }
        Vec::new()
    }

    fn finish(&self) -> Finish {
        self.output.finish.into()
    }

    fn violations(&self, _: &str) -> Vec<String> {
        self.looked_for.note("answer text");
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a call with one target; `verb` are the members that name the question.
    fn is_asked(verb: &str, answer: &str) -> bool {
        let line = format!(
            r#"{{"id":"bs-1","at_unix_ms":1,"call":{{"model":"m","operation":"chat","needs":[],
            "input_tokens":1,"seed":1,"own_policy":false}},"route":{{"name":"r","settings":"{{}}",
            "cooldown_max_ms":1,"candidates":[{{"provider":"a","model":"m","priority":1,"weight":1,
            "offers":[]}}]}},"policy":{{"name":"default","digest":"d"}},"decisions":[{{{verb},
            "asked":"built-in","time_left_ns":1,"attempts_left":1,"now_unix_ms":1.0,"seed":1,
            "candidates":[{{}}],"decider":"built-in","answer":{answer}}}],
            "end":{{"outcome":"delivered","status":200,"attempts":1,"duration_ms":1}}}}"#
        );
        let line: Line = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{answer}: {e}"));
        Restored::of(&line).question(&line.decisions[0]).is_some()
    }

    #[test]
    fn an_answer_to_another_question_contradicts_the_line() {
        let verbs = [
            r#""verb":"select-provider""#,
            r#""verb":"classify-error","attempt":0"#,
            r#""verb":"validate-output","attempt":0,"candidate":0,"complete":true"#,
        ];
        let rule = r#"{"rule":{"class":"timeout","counts":true,"cooldown_ms":0,"next":"surface"}}"#;
        for (answer, fits) in [
            (r#"{"launch":[{"candidate":0}]}"#, [true, false, false]),
            // There is no such target.
            (r#"{"launch":[{"candidate":0},{"candidate":1}]}"#, [false; 3]),
            (r#"{"wait-ms":5}"#, [true, false, false]),
            (r#"{"answer-bytes":5}"#, [true, false, false]),
            (r#"{"refuse":{"status":503}}"#, [true, false, false]),
            (r#""defer""#, [true, false, false]),
            (rule, [false, true, false]),
            (r#""accept""#, [false, false, true]),
            (r#"{"amend-bytes":5}"#, [false, false, true]),
            (r#"{"reject":{"counts":true,"reason_bytes":1}}"#, [false, false, true]),
            (r#""nothing""#, [true; 3]),
        ] {
            assert_eq!(verbs.map(|verb| is_asked(verb, answer)), fits, "{answer}");
        }
    }
}
