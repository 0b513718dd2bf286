//! One target after another: moving on, trying again, waiting, giving up.

use std::time::Duration;

use super::check;
use crate::failover::exchange::script::{World, stand_in};
use crate::failover::exchange::{Action, Event, Exchange};
use crate::failover::{Answer, ErrorReply, FailureClass, Opinion, Outcome, Timestamp, Verb};

#[test]
fn the_first_target_answers() {
    check(
        "a b",
        "0ms begin         -> start a1
        10ms a1 headers
        20ms a1 content 5 -> deliver a1
        30ms a1 content 5
        40ms a1 done      -> finish",
    );
}

#[test]
fn a_target_that_cannot_serve_now_is_left_for_the_next() {
    for failure in
        ["503", "529", "401", "403", "404", "cut", "malformed", "no-answer", "400 context-length"]
    {
        check(
            "a b c",
            &format!(
                "0ms begin         -> start a1
                10ms a1 {failure}  -> {}start b2
                20ms b2 content 5 -> deliver b2
                30ms b2 done      -> finish",
                if failure == "401" { "a out authentication, " } else { "" },
            ),
        );
    }
}

#[test]
fn a_transient_failure_is_tried_again_on_the_same_target_once() {
    for failure in ["500", "502", "reset", "unreachable", "connect-timeout"] {
        check(
            "a b",
            &format!(
                "0ms begin         -> start a1
                10ms a1 {failure}
                110ms             -> start a2
                120ms a2 {failure} -> start b3
                130ms b3 done     -> deliver b3, finish"
            ),
        );
    }
}

#[test]
fn what_is_wrong_with_the_request_comes_back_at_once() {
    check("a b", "0ms begin -> start a1\n 10ms a1 400 -> refuse 400 invalid_request surfaced");
    check(
        "a b",
        "0ms begin                    -> start a1
        10ms a1 400 content-filter   -> refuse 400 content_filter surfaced",
    );
    check(
        "a b(window=50)",
        "0ms begin                    -> start a1
        10ms a1 400 context-length   -> refuse 400 context_length_exceeded surfaced",
    );
}

#[test]
fn a_short_retry_after_is_waited_for_if_it_fits_the_deadline() {
    check(
        "a | deadline=3s",
        "0ms begin                  -> start a1
        0ms a1 429 retry-after=2s
        2s                         -> start a2
        2s a2 done                 -> deliver a2, finish",
    );
    check(
        "a | deadline=1s",
        "0ms begin                 -> start a1
        0ms a1 429 retry-after=2s -> refuse 429 rate_limit_exceeded exhausted after=2s",
    );
}

#[test]
fn a_longer_retry_after_is_a_cooldown_for_everyone() {
    check(
        "a",
        "0ms begin                  -> start a1
        0ms a1 429 retry-after=6s  -> refuse 429 rate_limit_exceeded exhausted after=6s
        10ms cooldown a                -> 5s
        #2 10ms begin              -> refuse 429 rate_limit_exceeded nothing-to-try after=5s
        #3 2s begin
        #3 6s                      -> start a1",
    );
    check(
        "a b",
        "0ms begin                  -> start a1
        0ms a1 429 retry-after=1h  -> start b2
        1s gone                    -> abort b2
        #2 59m begin               -> start b1
        #2 59m gone                -> abort b1
        #3 61m begin               -> start a1",
    );
}

#[test]
fn a_retry_after_beyond_the_longest_cooldown_is_cut() {
    check(
        "a b | cooldown=1h",
        "0ms begin                     -> start a1
        0ms a1 429 retry-after=200h   -> start b2
        1s cooldown a                     -> 3599s",
    );
}

#[test]
fn the_longest_retry_after_that_is_waited_for_is_the_route_s() {
    let script = |wait: &str, then: &str| {
        check(
            &format!("a b | wait={wait}"),
            &format!(
                "policy classify rate-limited retry 1ms
                0ms begin                  -> start a1
                0ms a1 429 retry-after=3s  -> {then}"
            ),
        );
    };
    script("2s", "start b2");
    script("3s", "\n 3s -> start a2");
}

#[test]
fn attempts_are_limited_over_all_targets_and_on_one() {
    check(
        "a b c d e",
        "0ms begin       -> start a1
        0ms a1 503      -> start b2
        0ms b2 503      -> start c3
        0ms c3 503      -> start d4
        0ms d4 503      -> refuse 503 server_is_overloaded exhausted after=1s",
    );
    check(
        "a b | attempts=9",
        "0ms begin       -> start a1
        0ms a1 503      -> start b2
        1s b2 503       -> start a3
        2s a3 503       -> start b4
        3s b4 503       -> refuse 503 server_is_overloaded exhausted after=1s",
    );
    check(
        "a | per-target=1",
        "0ms begin  -> start a1
        0ms a1 500 -> refuse 502 upstream_error exhausted after=1s",
    );
    check("a | attempts=0", "0ms begin -> refuse 503 no_target_available nothing-to-try");
}

#[test]
fn a_retry_is_a_failing_target_s_budget() {
    // Two calls meet the same failure: the target affords one retry a second.
    check(
        "a",
        "0ms begin         -> start a1
        #2 0ms begin      -> start a1
        10ms a1 500
        #2 10ms a1 500
        110ms             -> start a2
        #2 110ms          -> barred a over-budget, refuse 502 upstream_error exhausted after=1s",
    );
}

#[test]
fn moving_on_to_a_healthy_target_is_free() {
    let begin = (1..=20).map(|n| format!("#{n} 0ms begin -> start a1"));
    let fail = (1..=20).map(|n| {
        let opens = if n == 5 { "a open, " } else { "" };
        format!("#{n} 10ms a1 503 -> {opens}start b2")
    });
    check("a b", &begin.chain(fail).collect::<Vec<_>>().join("\n"));
}

/// The pauses before the retries of 200 calls, by the schedule.
#[test]
fn without_a_ruled_pause_the_route_s_schedule_decides() {
    let pauses: Vec<_> = (0..200).map(|seed| scheduled_pause(seed).as_millis()).collect();
    let (least, most) = (pauses.iter().min().expect("200"), pauses.iter().max().expect("200"));
    assert!(*least < 25 && *most > 225 && *most <= 250, "from {least} to {most} ms");
}

fn scheduled_pause(seed: u64) -> Duration {
    let world = World::read("a", true);
    let mut call = (*world.call()).clone();
    call.seed = seed;
    let mut exchange = Exchange::new(call.clone().into(), world.route, Timestamp::ORIGIN);
    let mut events = vec![Event::Begin];
    while let Some(event) = events.pop() {
        for action in exchange.on(event, Timestamp::ORIGIN) {
            match action {
                Action::Consult(question) => {
                    let opinion = match question.verb {
                        Verb::ClassifyError { .. } => ruled_retry(),
                        Verb::SelectProvider | Verb::ValidateOutput { .. } => {
                            stand_in(&call, &question)
                        }
                    };
                    events.push(Event::Answered(Answer { number: question.number, opinion }));
                }
                Action::Start(start) => events.push(Event::Ended(start.attempt, failure())),
                Action::Record(_) => {}
                Action::Abort(_)
                | Action::Deliver(_)
                | Action::Finish
                | Action::Refuse(_)
                | Action::Park => panic!("{action:?}"),
            }
        }
    }
    exchange.wake_at().expect("a planned retry").since_origin()
}

fn failure() -> Outcome {
    Outcome::Error(ErrorReply {
        status: 500,
        class: FailureClass::ServerError,
        code: String::new(),
        message: String::new(),
        retry_after: None,
    })
}

fn ruled_retry() -> Opinion {
    use crate::failover::consult::{NextStep, Ruling};
    Opinion::Classify(Ruling {
        class: FailureClass::ServerError,
        counts: true,
        cooldown: Duration::ZERO,
        next: NextStep::Retry(Duration::ZERO),
    })
}
