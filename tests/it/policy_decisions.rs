//! What the built-in policy decides, natively, row by row. That the component
//! decides the same is shown in `policy_builtin`.

use backstay_policy_default::contract::backstay::policy::exchange::{Finish, ToolCall};
use backstay_policy_default::contract::backstay::policy::types::{
    Attempt, Bar, Call, Candidate, Circuit, Failure, FailureClass, Features, Health, NextStep,
    Operation, Phase, Ruling, Selection, Verdict,
};
use backstay_policy_default::decide::{self, AnswerBody, RequestBody};

fn call() -> Call {
    Call {
        id: "id".into(),
        route: "route".into(),
        model: "m".into(),
        operation: Operation::Chat,
        needs: Features::empty(),
        input_tokens: 1_000,
        max_output_tokens: None,
        tenant: None,
        labels: Vec::new(),
        settings: "{}".into(),
        time_left: 120_000,
        attempts_left: 3,
        delivered: 0,
        now: 0.0,
        seed: 1,
    }
}

fn candidate(priority: u32) -> Candidate {
    Candidate {
        target: format!("t{priority}/m"),
        provider: format!("t{priority}"),
        model: "m".into(),
        priority,
        weight: 1,
        offers: Features::all(),
        context_window: None,
        input_price: None,
        output_price: None,
        health: Health {
            circuit: Circuit::Closed,
            cooldown: 0,
            samples: 10,
            error_rate: 0.0,
            consecutive_failures: 0,
            in_flight: 0,
            first_token_p50: 0,
            first_token_p95: 0,
            total_p50: 0,
            total_p95: 0,
            load: 100.0,
            requests_left: None,
            tokens_left: None,
        },
        tried: 0,
        barred: None,
    }
}

fn barred(priority: u32, bar: Bar, cooldown: u32) -> Candidate {
    let mut candidate = Candidate { barred: Some(bar), ..candidate(priority) };
    candidate.health.cooldown = cooldown;
    candidate
}

fn failed(candidate: u32, class: FailureClass) -> Attempt {
    let failure = Failure {
        phase: Phase::Headers,
        failure_class: class,
        status: None,
        code: String::new(),
        message: String::new(),
        retry_after: None,
    };
    Attempt { candidate, elapsed: 10, first_token: None, failure: Some(failure) }
}

fn failed_with(class: FailureClass, status: u16, retry_after: Option<u32>) -> Attempt {
    let mut attempt = failed(0, class);
    let failure = attempt.failure.as_mut().expect("it failed");
    (failure.status, failure.retry_after) = (Some(status), retry_after);
    attempt
}

fn shown(selection: Selection) -> String {
    match selection {
        Selection::Pick(id) => format!("pick {id}"),
        Selection::Wait(pause) => format!("wait {pause}"),
        Selection::Refuse(refusal) => {
            format!("refuse {} {} {:?}", refusal.status, refusal.code, refusal.retry_after)
        }
        Selection::Launch(_) | Selection::Defer | Selection::Answer(_) => format!("{selection:?}"),
    }
}

fn selects(call: &Call, candidates: &[Candidate], attempts: &[Attempt], expected: &str) {
    assert_eq!(shown(decide::select(call, candidates, attempts)), expected, "{candidates:#?}");
}

#[test]
fn the_lowest_tier_that_can_take_the_call_is_picked() {
    let tried = Candidate { tried: 1, ..candidate(1) };
    let no_tools = Candidate { offers: Features::STREAMING, ..candidate(1) };
    let tools = Call { needs: Features::TOOLS | Features::STREAMING, ..call() };
    let small = Candidate { context_window: Some(1_500), ..candidate(1) };
    let long = Call { max_output_tokens: Some(501), ..call() };
    let fits = Call { max_output_tokens: Some(500), ..call() };
    selects(&call(), &[candidate(2), candidate(1)], &[], "pick 1");
    selects(&call(), &[barred(1, Bar::Hopeless, 0), candidate(2)], &[], "pick 1");
    selects(&call(), &[tried.clone(), candidate(2)], &[], "pick 1");
    selects(&call(), &[tried], &[], "pick 0");
    selects(&tools, &[no_tools.clone(), candidate(2)], &[], "pick 1");
    selects(&call(), &[no_tools, candidate(2)], &[], "pick 0");
    selects(&long, &[small.clone(), candidate(2)], &[], "pick 1");
    selects(&fits, &[small, candidate(2)], &[], "pick 0");
}

/// Which targets have another model the gateway says, by barring them.
#[test]
fn embeddings_go_where_they_are_not_barred() {
    let other = Candidate { model: "other".into(), ..barred(1, Bar::Hopeless, 0) };
    let prefixed = Candidate { model: "vendor/m".into(), ..candidate(3) };
    let embeddings = Call { operation: Operation::Embeddings, ..call() };
    let candidates = [candidate(2), other, prefixed];
    selects(&embeddings, &candidates, &[], "pick 0");
    let first_out = [barred(1, Bar::TriedOut, 0), candidates[1].clone(), candidates[2].clone()];
    selects(&embeddings, &first_out, &[], "pick 2");
}

#[test]
fn after_too_long_a_request_only_larger_windows_count() {
    let window = |size| Candidate { context_window: size, ..candidate(1) };
    let too_long = [failed(0, FailureClass::ContextLength)];
    let small = Candidate { tried: 1, ..window(Some(8_000)) };
    let with = |size| [small.clone(), window(size)];
    selects(&call(), &with(Some(16_000)), &too_long, "pick 1");
    selects(&call(), &with(None), &too_long, "pick 1");
    let refused = "refuse 400 context_length_exceeded None";
    selects(&call(), &with(Some(8_000)), &too_long, refused);
    selects(&call(), &with(Some(8_000)), &[failed(0, FailureClass::Timeout)], "pick 1");
}

#[test]
fn a_continuation_prefers_prefill_within_a_tier() {
    let plain = |priority| Candidate { offers: Features::empty(), ..candidate(priority) };
    let continuing = Call { delivered: 5, ..call() };
    for seed in 0..20 {
        let continuing = Call { seed, ..continuing.clone() };
        selects(&continuing, &[plain(1), candidate(1)], &[], "pick 1");
        selects(&continuing, &[plain(1), candidate(2)], &[], "pick 0");
    }
}

#[test]
fn with_nobody_left_it_waits_briefly_or_says_why_not() {
    let rows: [(&[Candidate], &str); 9] = [
        (&[barred(1, Bar::CoolingDown, 3_000)], "wait 3000"),
        (&[barred(1, Bar::CoolingDown, 3_000), barred(2, Bar::CircuitOpen, 700)], "wait 700"),
        (&[barred(1, Bar::Full, 0)], "wait 50"),
        (&[barred(1, Bar::CoolingDown, 5_001)], "refuse 503 no_target_available Some(5001)"),
        (&[barred(1, Bar::CredentialOut, 0)], "refuse 503 no_target_available None"),
        (&[barred(1, Bar::TriedOut, 10)], "refuse 503 no_target_available None"),
        (
            &[Candidate { context_window: Some(10), ..candidate(1) }],
            "refuse 400 context_length_exceeded None",
        ),
        (&[Candidate { offers: Features::empty(), ..candidate(1) }], "refuse 400 unsupported None"),
        (&[], "refuse 503 no_target_available None"),
    ];
    let call = Call { needs: Features::VISION, ..call() };
    for (candidates, expected) in rows {
        selects(&call, candidates, &[], expected);
    }
    let hurried = Call { time_left: 3_000, ..call };
    let cooling = [barred(1, Bar::CoolingDown, 3_000)];
    selects(&hurried, &cooling, &[], "refuse 503 no_target_available Some(3000)");
}

#[test]
fn a_refusal_names_every_target_and_why() {
    let small = Candidate { context_window: Some(10), ..candidate(1) };
    let candidates = [small, barred(2, Bar::CredentialOut, 0)];
    let Selection::Refuse(refusal) = decide::select(&call(), &candidates, &[]) else {
        panic!("nobody can take it")
    };
    assert_eq!(
        refusal.message,
        "no target can take this call: t1/m: context window too small; t2/m: credential out"
    );
}

/// How often each candidate is picked over a thousand seeds.
fn shares(candidates: &[Candidate], settings: &str) -> Vec<usize> {
    let mut counts = vec![0; candidates.len()];
    for seed in 0..1_000 {
        let call = Call { seed, settings: settings.into(), ..call() };
        match decide::select(&call, candidates, &[]) {
            Selection::Pick(id) => counts[id as usize] += 1,
            other @ (Selection::Launch(_)
            | Selection::Wait(_)
            | Selection::Defer
            | Selection::Answer(_)
            | Selection::Refuse(_)) => panic!("{other:?}"),
        }
    }
    counts
}

fn loaded(load: f64, weight: u32) -> Candidate {
    let mut candidate = Candidate { weight, ..candidate(1) };
    candidate.health.load = load;
    candidate
}

/// With a usual time and calls under way; its load has long faded.
fn timed(p50: u32, in_flight: u32, weight: u32) -> Candidate {
    let mut candidate = loaded(0.0, weight);
    (candidate.health.first_token_p50, candidate.health.in_flight) = (p50, in_flight);
    candidate
}

#[test]
fn among_equals_the_lower_load_wins_and_weights_share() {
    assert_eq!(shares(&[loaded(300.0, 1), loaded(100.0, 1)], "{}"), [0, 1_000]);
    // The most loaded of three is never taken: it loses to whichever it is drawn with.
    let three = shares(&[loaded(1.0, 1), loaded(2.0, 1), loaded(3.0, 1)], "{}");
    assert!(three[0] > three[1] && three[2] == 0, "{three:?}");
    let even = shares(&[loaded(100.0, 1), loaded(100.0, 1)], "{}");
    assert!((400..600).contains(&even[0]), "{even:?}");
    // Unequal weights are shares, whatever has faded, until the strain is clear.
    let nine_of_ten = [
        [loaded(100.0, 9), loaded(1.0, 1)],
        [timed(100, 0, 9), timed(60, 0, 1)],
        [timed(100, 9, 9), timed(100, 1, 1)],
        [timed(100, 0, 9), timed(0, 0, 1)],
    ];
    for candidates in nine_of_ten {
        let weighted = shares(&candidates, "{}");
        assert!((850..950).contains(&weighted[0]), "{weighted:?}");
    }
    assert_eq!(shares(&[timed(500, 0, 9), timed(100, 0, 1)], "{}"), [0, 1_000]);
    assert_eq!(shares(&[timed(100, 90, 9), timed(100, 1, 1)], "{}"), [0, 1_000]);
    assert_eq!(shares(&[loaded(100.0, 1), loaded(100.0, 0)], "{}"), [1_000, 0]);
}

#[test]
fn cheap_means_the_lowest_price_and_unknown_last() {
    let priced = |price| Candidate { input_price: price, output_price: price, ..candidate(1) };
    let candidates = [priced(None), priced(Some(2.0)), priced(Some(1.0))];
    assert_eq!(shares(&candidates, r#"{"prefer": "cheap"}"#), [0, 0, 1_000]);
    assert_eq!(shares(&candidates[..1], r#"{"prefer": "cheap"}"#), [1_000]);
}

fn ruling(call: &Call, candidates: &[Candidate], attempt: Attempt) -> Ruling {
    decide::classify(call, candidates, &[attempt]).expect("it failed")
}

/// `retry`, `reselect` or `surface`, whether it counts, and the cooldown.
fn rules(call: &Call, candidates: &[Candidate], attempt: Attempt, expected: &str) {
    let ruling = ruling(call, candidates, attempt);
    let next = match ruling.next {
        NextStep::Retry(_) => "retry",
        NextStep::Reselect => "reselect",
        NextStep::Surface => "surface",
    };
    let counts = if ruling.counts { " counts" } else { "" };
    let cooldown = match ruling.cooldown {
        0 => String::new(),
        cooldown => format!(" {cooldown}"),
    };
    assert_eq!(format!("{next}{counts}{cooldown}"), expected, "{:?}", ruling.failure_class);
}

/// The failed candidate, tried once, and another.
fn two() -> [Candidate; 2] {
    [Candidate { tried: 1, ..candidate(1) }, candidate(2)]
}

#[test]
fn every_class_has_its_ruling() {
    let rows = [
        (FailureClass::Network, "retry counts"),
        (FailureClass::Timeout, "reselect counts"),
        (FailureClass::RateLimited, "reselect counts 1000"),
        (FailureClass::Overloaded, "reselect counts"),
        (FailureClass::ServerError, "retry counts"),
        (FailureClass::Quota, "reselect"),
        (FailureClass::Authentication, "reselect"),
        (FailureClass::Permission, "reselect 60000"),
        (FailureClass::NotFound, "reselect 60000"),
        // Without a status nothing was sent: another may take it as it is.
        (FailureClass::BadRequest, "reselect"),
        (FailureClass::Unsupported, "reselect"),
        (FailureClass::ContextLength, "reselect"),
        (FailureClass::ContentFilter, "surface"),
        (FailureClass::InvalidOutput, "reselect counts"),
        (FailureClass::StreamBroken, "reselect counts"),
        (FailureClass::Cancelled, "surface"),
        (FailureClass::Unknown, "reselect"),
    ];
    for (class, expected) in rows {
        rules(&call(), &two(), failed(0, class), expected);
    }
    rules(&call(), &two(), failed_with(FailureClass::BadRequest, 400, None), "surface");
    assert_eq!(decide::classify(&call(), &two(), &[]), None);
    let accepted = Attempt { failure: None, ..failed(0, FailureClass::Unknown) };
    assert_eq!(decide::classify(&call(), &two(), &[accepted]), None);
}

#[test]
fn a_transient_failure_is_retried_once_on_the_same_target() {
    let error = || failed_with(FailureClass::ServerError, 500, None);
    let again = [Candidate { tried: 2, ..candidate(1) }, candidate(2)];
    let tried_out = [Candidate { tried: 1, ..barred(1, Bar::TriedOut, 0) }, candidate(2)];
    rules(&call(), &two(), error(), "retry counts");
    rules(&call(), &again, error(), "reselect counts");
    rules(&call(), &tried_out, error(), "reselect counts");
    rules(&Call { delivered: 1, ..call() }, &two(), error(), "reselect counts");
    rules(&Call { attempts_left: 0, ..call() }, &two(), error(), "reselect counts");
    rules(&Call { attempts_left: 1, ..call() }, &two(), error(), "reselect counts");
    rules(&Call { attempts_left: 1, ..call() }, &two()[..1], error(), "retry counts");
    rules(
        &Call { settings: r#"{"retry": false}"#.into(), ..call() },
        &two(),
        error(),
        "reselect counts",
    );
    let overloaded = failed_with(FailureClass::ServerError, 503, Some(700));
    rules(&call(), &two(), overloaded.clone(), "reselect counts 700");
    assert_eq!(ruling(&call(), &two(), overloaded).failure_class, FailureClass::Overloaded);
    let scheduled = NextStep::Retry(0);
    assert_eq!(ruling(&call(), &two(), error()).next, scheduled, "by the route's schedule");
}

#[test]
fn a_rate_limited_target_is_waited_for_only_if_it_is_the_last() {
    let limited = |retry_after| failed_with(FailureClass::RateLimited, 429, retry_after);
    let alone = &two()[..1];
    rules(&call(), &two(), limited(Some(500)), "reselect counts 500");
    rules(&call(), alone, limited(Some(5_000)), "retry counts");
    assert_eq!(ruling(&call(), alone, limited(Some(900))).next, NextStep::Retry(900));
    rules(&call(), alone, limited(Some(5_001)), "retry counts");
    rules(&Call { time_left: 500, ..call() }, alone, limited(Some(500)), "reselect counts 500");
    rules(&call(), alone, limited(None), "retry counts");
    let cooling = [Candidate { tried: 1, ..barred(1, Bar::CoolingDown, 900) }];
    rules(&call(), &cooling, limited(Some(900)), "retry counts");
    let tried_out = [Candidate { tried: 2, ..barred(1, Bar::TriedOut, 0) }];
    rules(&call(), &tried_out, limited(Some(900)), "reselect counts 900");
    assert_eq!(ruling(&call(), alone, limited(None)).next, NextStep::Retry(1_000));
}

#[test]
fn the_only_target_is_tried_again_after_a_pause() {
    for class in [
        FailureClass::Overloaded,
        FailureClass::Timeout,
        FailureClass::StreamBroken,
        FailureClass::InvalidOutput,
    ] {
        let alone = ruling(&call(), &two()[..1], failed(0, class));
        assert_eq!(alone.next, NextStep::Retry(0), "{class:?}");
        let of_two = ruling(&call(), &two(), failed(0, class));
        assert_eq!(of_two.next, NextStep::Reselect, "{class:?}");
    }
}

#[test]
fn what_only_others_can_do_surfaces_when_there_are_none() {
    let window = |size| Candidate { context_window: size, ..candidate(2) };
    let small = Candidate { tried: 1, context_window: Some(8_000), ..candidate(1) };
    let too_long = || failed(0, FailureClass::ContextLength);
    rules(&call(), &[small.clone(), window(Some(9_000))], too_long(), "reselect");
    rules(&call(), &[small.clone(), window(Some(8_000))], too_long(), "surface");
    rules(&call(), &[small], too_long(), "surface");
    rules(&call(), &two()[..1], failed(0, FailureClass::Unsupported), "surface");
    let elsewhere = Call { settings: r#"{"on_content_filter": "reselect"}"#.into(), ..call() };
    rules(&elsewhere, &two(), failed(0, FailureClass::ContentFilter), "reselect");
}

struct Answer {
    /// Where the request says what form it wants, and which.
    format_at: &'static str,
    format: &'static str,
    complete: bool,
    text: &'static str,
    arguments: Option<&'static str>,
    finish: Finish,
    violation: Option<&'static str>,
}

const GOOD: Answer = Answer {
    format_at: "/response_format/type",
    format: "",
    complete: true,
    text: "text",
    arguments: None,
    finish: Finish::Stop,
    violation: None,
};

impl RequestBody for Answer {
    fn json(&self, pointer: &str) -> Option<String> {
        (pointer == self.format_at).then(|| format!("{:?}", self.format))
    }
}

impl AnswerBody for Answer {
    fn complete(&self) -> bool {
        self.complete
    }

    fn text_length(&self) -> u32 {
        u32::try_from(self.text.len()).expect("texts are short")
    }

    fn tool_calls(&self) -> Vec<ToolCall> {
        let call = |arguments: &str| ToolCall { name: "f".into(), arguments: arguments.into() };
        self.arguments.map(call).into_iter().collect()
    }

    fn finish(&self) -> Finish {
        self.finish
    }

    fn violations(&self, _: &str) -> Vec<String> {
        self.violation.map(str::to_owned).into_iter().collect()
    }
}

/// An empty `reason` stands for acceptance; `!` before it for a rejection that counts.
fn judges(call: &Call, answer: &Answer, reason: &str) {
    let given = match decide::validate(call, answer, answer) {
        Verdict::Accept => String::new(),
        Verdict::Amend(text) => panic!("amended: {text}"),
        Verdict::Reject(rejection) if rejection.counts => format!("!{}", rejection.reason),
        Verdict::Reject(rejection) => rejection.reason,
    };
    assert!(given.starts_with(reason) && given.is_empty() == reason.is_empty(), "{given}");
}

#[test]
fn empty_answers_are_rejected() {
    let empty = |finish| Answer { text: "", finish, ..GOOD };
    judges(&call(), &GOOD, "");
    judges(&call(), &empty(Finish::Stop), "!empty answer");
    judges(&call(), &empty(Finish::Length), "empty answer");
    let limited = Call { max_output_tokens: Some(1), ..call() };
    judges(&limited, &empty(Finish::Length), "");
    judges(&limited, &empty(Finish::Stop), "!empty answer");
    judges(&call(), &empty(Finish::Other), "");
    judges(&call(), &empty(Finish::Refusal), "");
    judges(&call(), &empty(Finish::ContentFilter), "");
    judges(&call(), &Answer { complete: false, ..empty(Finish::Stop) }, "");
    judges(&call(), &Answer { arguments: Some("{}"), ..empty(Finish::ToolCalls) }, "");
    let embeddings = Call { operation: Operation::Embeddings, ..call() };
    judges(&embeddings, &empty(Finish::Stop), "");
}

#[test]
fn promised_json_is_held_against_the_answer() {
    let promised = Call { needs: Features::JSON_SCHEMA, ..call() };
    let unchecked = Call { settings: r#"{"schema_check": false}"#.into(), ..promised.clone() };
    let broken = || Answer { format: "json_object", violation: Some("not JSON"), ..GOOD };
    judges(&promised, &broken(), "the answer breaks the promised JSON: not JSON");
    judges(&promised, &Answer { format: "json_schema", ..broken() }, "the answer breaks");
    judges(&promised, &Answer { format: "text", ..broken() }, "");
    for format_at in ["/text/format/type", "/output_config/format/type"] {
        judges(&promised, &Answer { format: "json_schema", format_at, ..broken() }, "the answer");
    }
    let gemini = Answer { format_at: "/generationConfig/responseMimeType", ..broken() };
    judges(&promised, &Answer { format: "application/json", ..gemini }, "the answer breaks");
    judges(&promised, &Answer { finish: Finish::Length, ..broken() }, "");
    judges(&promised, &Answer { violation: None, ..broken() }, "");
    judges(&unchecked, &broken(), "");
    judges(&call(), &broken(), "");
}

#[test]
fn arguments_of_tool_calls_are_json() {
    let tools = Call { needs: Features::TOOLS, ..call() };
    let with = |arguments| Answer { arguments: Some(arguments), finish: Finish::ToolCalls, ..GOOD };
    judges(&tools, &with(r#"{"a": 1}"#), "");
    judges(&tools, &with(""), "");
    judges(&tools, &with("{"), "the arguments of a tool call are not JSON: f");
    judges(&tools, &Answer { finish: Finish::Length, ..with("{") }, "");
    judges(&tools, &Answer { text: "", ..with("{") }, "the arguments");
}
