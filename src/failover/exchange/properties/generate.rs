//! Random worlds, events and opinions.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::failover::attempt::{ErrorReply, Outcome, Phase, Progress};
use crate::failover::consult::{
    Edit, Launch, NextStep, Opinion, PolicyRefusal, Ruling, Selection, Verdict,
};
use crate::failover::health::Target;
use crate::failover::rules::{Concurrency, Hold, Rescue};
use crate::failover::{
    Call, CallRules, Candidate, CandidateId, FailureClass, Features, Operation, Route, TargetFacts,
    TargetRules,
};

/// A world and what happens in it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    rules: CallRules,
    targets: Vec<TargetRules>,
    own_policy: bool,
    streams: bool,
    operation: Operation,
    pub(super) seed: u64,
    pub(super) strokes: Vec<Stroke>,
    /// Whether both calls run to their end, or are dropped where they are.
    pub(super) to_the_end: bool,
}

/// One step of one of the calls.
#[derive(Clone, Debug)]
pub(super) struct Stroke {
    pub(super) after: Duration,
    pub(super) call: usize,
    pub(super) step: Step,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Begin,
    Woke,
    Gone,
    /// Of the attempt with this number, counted round; the highest is of none.
    Progress(u32, Progress),
    Ended(u32, Outcome),
    /// To the question that is open, if any.
    Answer(Opinion),
    /// The same, but one that answers what is asked.
    Fitting(Selection, Ruling, Verdict),
    /// To the question before.
    AnswerLate(Opinion),
    /// By the stand-in for the built-in policy.
    BuiltIn,
}

impl Plan {
    pub(super) fn route(&self) -> Route {
        let candidates = (0..).zip(&self.targets).map(|(n, rules)| Candidate {
            facts: Arc::new(facts(n)),
            target: Arc::new(Target::new(rules.clone(), Arc::default(), u64::from(n))),
        });
        Route { name: "r".to_owned(), rules: self.rules.clone(), candidates: candidates.collect() }
    }

    pub(super) fn call(&self, seed: u64) -> Arc<Call> {
        Arc::new(Call {
            id: "t".to_owned(),
            model: "m".to_owned(),
            operation: self.operation,
            needs: Features::NONE.with(Features::STREAMING, self.streams),
            input_tokens: 9_000,
            max_output_tokens: None,
            tenant: None,
            labels: Vec::new(),
            origin_unix: Duration::from_secs(1_700_000_000),
            seed,
            own_policy: self.own_policy,
        })
    }
}

fn facts(n: u32) -> TargetFacts {
    TargetFacts {
        target: n.to_string(),
        provider: n.to_string(),
        model: "m".to_owned(),
        priority: n / 2,
        weight: 1,
        offers: Features::ALL,
        context_window: None,
        input_price: None,
        output_price: None,
    }
}

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let world = (rules(), vec(target(), 0..5), any::<bool>(), any::<bool>(), operation());
    (world, any::<u64>(), vec(stroke(), 0..120), any::<bool>()).prop_map(
        |((rules, targets, own_policy, streams, operation), seed, strokes, to_the_end)| Plan {
            rules,
            targets,
            own_policy,
            streams,
            operation,
            seed,
            strokes,
            to_the_end,
        },
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![3 => Just(Operation::Chat), 1 => Just(Operation::Embeddings)]
}

/// Lengths from nothing to ten days.
fn length() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => Just(Duration::ZERO),
        4 => (1_u64..500).prop_map(Duration::from_millis),
        4 => (1_u64..20).prop_map(Duration::from_secs),
        1 => (20_u64..240 * 3_600).prop_map(Duration::from_secs),
    ]
}

fn rules() -> impl Strategy<Value = CallRules> {
    let deadline = prop_oneof![
        1 => (0_u64..50).prop_map(Duration::from_millis),
        9 => (1_u64..120).prop_map(Duration::from_secs),
    ];
    let counts = (prop_oneof![1 => Just(0), 9 => 1_u32..7], 0_u32..5, any::<bool>(), hold());
    let limits = (length(), length(), length(), length(), length(), length());
    (deadline, counts, limits).prop_map(|(deadline, counts, limits)| {
        let (attempts, attempts_per_target, error, hold) = counts;
        let (first_token, between_chunks, terminator, whole, backoff, wait) = limits;
        CallRules {
            deadline,
            attempts,
            attempts_per_target,
            first_token,
            between_chunks,
            terminator,
            whole_max: whole,
            backoff_base: backoff,
            retry_after_wait: wait,
            rescue: if error { Rescue::Error } else { Rescue::Continue },
            hold,
            ..CallRules::default()
        }
    })
}

fn hold() -> impl Strategy<Value = Hold> {
    prop_oneof![3 => Just(Hold::First), 1 => (0_u32..50).prop_map(Hold::Bytes), 1 => Just(Hold::All)]
}

fn target() -> impl Strategy<Value = TargetRules> {
    let concurrency = prop_oneof![
        3 => Just(Concurrency::Unlimited),
        1 => (1_u32..3).prop_map(Concurrency::Fixed),
        1 => (1_u32..3).prop_map(|max| Concurrency::Adaptive { max }),
    ];
    (concurrency, 1_u32..4, any::<bool>()).prop_map(|(concurrency, row, generous)| {
        let mut rules = TargetRules { concurrency, ..TargetRules::default() };
        rules.breaker.consecutive_failures = row;
        if generous {
            (rules.hedge_ratio, rules.retry_min_per_second) = (1.0, 100);
        }
        rules
    })
}

fn stroke() -> impl Strategy<Value = Stroke> {
    let after = prop_oneof![
        8 => Just(Duration::ZERO),
        4 => (1_u64..500).prop_map(Duration::from_millis),
        1 => length().prop_map(|length| length.min(TOO_LONG)),
    ];
    (after, 0_usize..2, step()).prop_map(|(after, call, step)| Stroke { after, call, step })
}

/// A plan should not end at its first pause.
const TOO_LONG: Duration = Duration::from_secs(30);

fn step() -> impl Strategy<Value = Step> {
    let attempt = || prop_oneof![9 => 0_u32..7, 1 => Just(u32::MAX)];
    prop_oneof![
        2 => Just(Step::Begin),
        2 => Just(Step::Woke),
        1 => prop_oneof![4 => Just(Step::Woke), 1 => Just(Step::Gone)],
        8 => (attempt(), progress()).prop_map(|(n, progress)| Step::Progress(n, progress)),
        6 => (attempt(), outcome()).prop_map(|(n, outcome)| Step::Ended(n, outcome)),
        2 => opinion().prop_map(Step::Answer),
        12 => (selection(), ruling(), verdict()).prop_map(|(s, r, v)| Step::Fitting(s, r, v)),
        1 => opinion().prop_map(Step::AnswerLate),
        12 => Just(Step::BuiltIn),
    ]
}

fn progress() -> impl Strategy<Value = Progress> {
    prop_oneof![
        2 => Just(Progress::Headers),
        6 => (prop_oneof![Just(0), 0_u32..60], prop::bool::weighted(0.1), prop::bool::weighted(0.9))
            .prop_map(|(text, blank, continuable)| Progress::Content { text, blank, continuable }),
        1 => Just(Progress::Finished),
        1 => Just(Progress::Blocked),
        1 => Just(Progress::Unblocked),
        2 => Just(Progress::Overflow),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let detail = String::new;
    let reply = (select(FailureClass::ALL.to_vec()), 200_u16..600, option::of(length())).prop_map(
        |(class, status, retry_after)| {
            let (code, message) = (String::new(), String::new());
            Outcome::Error(ErrorReply { status, class, code, message, retry_after })
        },
    );
    prop_oneof![
        4 => Just(Outcome::Completed),
        6 => reply,
        6 => select(vec![
            Outcome::Unreachable { detail: detail() },
            Outcome::ConnectTimeout,
            Outcome::Reset { detail: detail() },
            Outcome::NotAnAnswer { detail: detail() },
            Outcome::Cut { detail: detail() },
            Outcome::Malformed { detail: detail() },
            Outcome::Unsupported { field: "n".to_owned(), detail: detail() },
            Outcome::Unreadable { field: "n".to_owned(), detail: detail() },
            Outcome::TimedOut { phase: Phase::Body },
            Outcome::Rejected { reason: detail() },
            Outcome::Cancelled,
        ]),
    ]
}

fn opinion() -> impl Strategy<Value = Opinion> {
    prop_oneof![
        1 => Just(Opinion::None),
        1 => Just(Opinion::Fault { reason: "trapped".to_owned() }),
        1 => Just(Opinion::Unasked { reason: "no thread".to_owned() }),
        6 => selection().prop_map(Opinion::Select),
        4 => ruling().prop_map(Opinion::Classify),
        4 => verdict().prop_map(Opinion::Validate),
    ]
}

fn selection() -> impl Strategy<Value = Selection> {
    prop_oneof![
        12 => vec(launch(), 0..5).prop_map(Selection::Launch),
        2 => length().prop_map(Selection::Wait),
        1 => Just(Selection::Defer),
        1 => Just(Selection::Answer("hello".to_owned())),
        1 => (0_u16..700, option::of(length())).prop_map(|(status, retry_after)| {
            let (code, message) = (String::new(), String::new());
            Selection::Refuse(PolicyRefusal { status, code, message, retry_after })
        }),
    ]
}

fn launch() -> impl Strategy<Value = Launch> {
    let candidate = prop_oneof![9 => 0_u32..4, 1 => Just(u32::MAX)].prop_map(CandidateId);
    let edits = vec(Just(Edit { pointer: "/n".to_owned(), value: None }), 0..2);
    let limits = (option::weighted(0.2, length()), option::weighted(0.2, length()));
    let after = prop_oneof![4 => Just(Duration::ZERO), 4 => (1_u64..500).prop_map(Duration::from_millis), 1 => length()];
    (candidate, after, limits, edits).prop_map(|(candidate, after, limits, edits)| {
        let (first_token_timeout, total_timeout) = limits;
        Launch { candidate, after, first_token_timeout, total_timeout, edits }
    })
}

fn ruling() -> impl Strategy<Value = Ruling> {
    let next = prop_oneof![
        3 => length().prop_map(NextStep::Retry),
        4 => Just(NextStep::Reselect),
        1 => Just(NextStep::Surface),
    ];
    (select(FailureClass::ALL.to_vec()), any::<bool>(), length(), next)
        .prop_map(|(class, counts, cooldown, next)| Ruling { class, counts, cooldown, next })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        3 => Just(Verdict::Accept),
        1 => Just(Verdict::Amend("better".to_owned())),
        1 => any::<bool>().prop_map(|counts| Verdict::Reject { reason: String::new(), counts }),
    ]
}
