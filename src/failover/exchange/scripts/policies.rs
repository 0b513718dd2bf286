//! What a policy can say, and what becomes of an answer that cannot be done.

use super::check;

/// Begins, and the built-in decides: `start a1`, after this note.
fn check_select_faulted(answer: &str, reason: &str) {
    check(
        "a b | deadline=60s",
        &format!("policy select {answer}\n 0ms begin -> inadmissible policy: {reason}, start a1"),
    );
}

#[test]
fn selections_that_cannot_be_done_fall_to_the_built_in() {
    check_select_faulted("launch z", "candidate 25 of 2");
    check_select_faulted("launch", "a plan without a launch");
    check_select_faulted(
        &format!("launch {}", vec!["a"; 10_000].join(", ")),
        "10000 launches with 4 attempts left",
    );
    check_select_faulted("wait 240h", "a wait in 864000s, beyond the deadline in 60s");
    check_select_faulted("wait 60s", "a wait in 60s, beyond the deadline in 60s");
    check_select_faulted("launch a, b after 60s", "a launch in 60s, beyond the deadline in 60s");
    check_select_faulted("launch a first 61s", "a timeout of 61s beyond the deadline in 60s");
    check_select_faulted("launch a total 61s", "a timeout of 61s beyond the deadline in 60s");
    check_select_faulted("launch a first 0ms", "a timeout of zero");
    check_select_faulted("refuse 200", "refused with status 200, not 400 to 599");
    check_select_faulted("refuse 600", "refused with status 600, not 400 to 599");
    check_select_faulted("accept", "answered another question");
    check_select_faulted("reselect", "answered another question");
}

#[test]
fn rulings_and_verdicts_that_cannot_be_done_fall_to_the_built_in() {
    for (ruling, reason) in [
        ("retry 60s", "a retry in 60s, beyond the deadline in 60s"),
        ("cool 25h reselect", "a cooldown of 90000s, longer than 86400s"),
        ("launch a", "answered another question"),
    ] {
        check(
            "a b | deadline=60s",
            &format!(
                "policy classify {ruling}
                0ms begin   -> start a1
                0ms a1 503  -> inadmissible policy: {reason}, start b2"
            ),
        );
    }
    check(
        "a",
        "policy validate wait 1s
        0ms begin         -> start a1
        9ms a1 content 5  -> inadmissible policy: answered another question, deliver a1",
    );
}

#[test]
fn a_delivered_answer_cannot_be_deferred_or_replaced() {
    for (answer, reason) in
        [("defer", "deferred a delivered answer"), ("say hello", "answered a delivered answer")]
    {
        check(
            "a b",
            &format!(
                "policy select none
                policy select {answer}
                0ms begin          -> start a1
                10ms a1 content 5  -> deliver a1
                20ms a1 cut        -> inadmissible policy: {reason}, continue b2"
            ),
        );
    }
}

#[test]
fn without_an_opinion_the_next_decider_is_asked() {
    check(
        "a | ask",
        "policy unasked none
        0ms begin          -> ask select policy
        0ms answer none    -> ask select built-in
        0ms answer none    -> start a1
        9ms a1 500         -> ask classify policy
        9ms answer fault   -> fault policy: trapped, ask classify built-in
        9ms answer fault   -> fault built-in: trapped, ask select policy
        9ms answer none    -> ask select built-in
        9ms answer none    -> start a2
        19ms a2 done       -> ask validate policy
        19ms answer none   -> ask validate built-in
        19ms answer fault  -> fault built-in: trapped, deliver a2, finish",
    );
}

#[test]
fn without_any_decider_the_fallback_moves_on_and_ends() {
    check(
        "a b | ask attempts=3 per-target=1",
        "0ms begin          -> ask select built-in
        0ms answer fault   -> fault built-in: trapped, start a1
        9ms a1 503         -> ask classify built-in
        9ms answer fault   -> fault built-in: trapped, ask select built-in
        9ms answer fault   -> fault built-in: trapped, start b2
        19ms b2 404        -> ask classify built-in
        19ms answer fault  -> fault built-in: trapped, ask select built-in
        19ms answer fault  -> fault built-in: trapped, refuse 503 server_is_overloaded exhausted after=1s",
    );
    check(
        "a b | ask",
        "0ms begin          -> ask select built-in
        0ms answer fault   -> fault built-in: trapped, start a1
        9ms a1 400         -> ask classify built-in
        9ms answer fault   -> fault built-in: trapped, refuse 400 invalid_request surfaced",
    );
}

#[test]
fn a_policy_can_end_the_call_itself() {
    check("a", "policy select say hello\n 0ms begin -> say hello");
    check("a", "policy select defer\n 0ms begin -> park");
    check("a", "policy select refuse 402\n 0ms begin -> refuse 402 said_so policy");
    check(
        "a b",
        "policy select none
        policy select defer
        0ms begin    -> start a1
        10ms a1 503  -> park",
    );
    check(
        "a b",
        "policy select none
        policy select refuse 451
        0ms begin          -> start a1
        10ms a1 content 5  -> deliver a1
        20ms a1 cut        -> refuse 451 said_so policy",
    );
}

#[test]
fn a_policy_can_choose_against_the_order() {
    check("a b", "policy select launch b\n 0ms begin -> start b1");
}

#[test]
fn a_policy_that_could_not_be_asked_is_passed_over() {
    check("a b", "policy select unasked\n 0ms begin -> unasked policy: no thread, start a1");
}

#[test]
fn a_policy_can_wait_but_not_for_ever() {
    check(
        "a",
        "policy select wait 300ms
        0ms begin
        300ms     -> start a1",
    );
    // 256 questions of 10 ms each; then nobody is asked any more.
    check(
        "a",
        "policy always select wait 1ms
        0ms begin
        2560ms    -> start a1",
    );
}

#[test]
fn a_policy_rules_on_failures() {
    check(
        "a b",
        "policy classify retry 1s
        0ms begin    -> start a1
        0ms a1 503
        1s           -> start a2",
    );
    check(
        "a b",
        "policy classify surface
        0ms begin    -> start a1
        0ms a1 500   -> refuse 500 upstream_error surfaced",
    );
    // A retry that cannot help, or that there is no attempt for, moves on.
    check(
        "a b",
        "policy classify bad-request retry 1s
        0ms begin    -> start a1
        0ms a1 500   -> start b2",
    );
    check(
        "a b | per-target=1",
        "policy classify retry 1s
        0ms begin    -> start a1
        0ms a1 500   -> start b2",
    );
}

#[test]
fn a_retry_never_comes_before_the_provider_s_wish() {
    check(
        "a b",
        "policy classify rate-limited retry 100ms
        0ms begin                  -> start a1
        0ms a1 429 retry-after=2s
        2s                         -> start a2",
    );
}
