//! Time: the deadline in every phase, and the limits within it.

use super::check;

#[test]
fn silence_costs_one_first_token_limit() {
    for heard in ["", "50ms a1 headers\n"] {
        check(
            "a b",
            &format!(
                "0ms begin   -> start a1
                {heard}
                10s         -> abort a1, start b2
                11s b2 done -> deliver b2, finish"
            ),
        );
    }
}

#[test]
fn the_first_token_limit_grows_with_the_input() {
    check("a b | input=7999", "0ms begin -> start a1\n 10s -> abort a1, start b2");
    check("a b | input=8000", "0ms begin -> start a1\n 11s -> abort a1, start b2");
    check("a b | input=81000", "0ms begin -> start a1\n 20s -> abort a1, start b2");
}

#[test]
fn a_silent_target_leaves_half_of_the_time_to_the_next() {
    check(
        "a b c | deadline=8s",
        "0ms begin -> start a1
        4s        -> abort a1, start b2
        6s        -> abort b2, start c3
        7s        -> abort c3, start a4
        7500ms    -> exempt a4
        8s        -> abort a4, refuse 504 deadline_exceeded deadline after=1s",
    );
}

#[test]
fn the_last_possible_attempt_is_exempt_from_the_first_token_limit() {
    check(
        "a",
        "0ms begin         -> start a1
        10s               -> exempt a1
        90s a1 content 5  -> deliver a1
        91s a1 done       -> finish",
    );
    // Nor is a target one that lacks what the call needs, or is known to be down.
    check("a b(no-tools) | tools", "0ms begin -> start a1\n 10s -> exempt a1");
    check("a b(window=50)", "0ms begin -> start a1\n 10s -> exempt a1");
    check("a b(window=150) | output=100", "0ms begin -> start a1\n 10s -> exempt a1");
    check(
        "a b",
        "0ms b cools 1h rate-limited
        0ms begin -> start a1
        10s       -> exempt a1",
    );
    check("a b | attempts=1", "0ms begin -> start a1\n 10s -> exempt a1");
}

#[test]
fn an_exemption_ends_when_another_target_recovers() {
    check(
        "a b",
        "0ms b cools 12500ms rate-limited
        0ms begin   -> start a1
        10s         -> exempt a1
        13s         -> abort a1, start b2
        14s b2 done -> deliver b2, finish",
    );
}

#[test]
fn once_it_speaks_an_exempt_attempt_has_the_usual_limits() {
    check(
        "a",
        "0ms begin         -> start a1
        10s               -> exempt a1
        20s a1 content 5  -> deliver a1
        35s               -> abort a1, continue a2",
    );
}

#[test]
fn only_content_counts_between_chunks() {
    check(
        "a b",
        "0ms begin         -> start a1
        1s a1 content 5   -> deliver a1
        10s a1 content 5
        20s a1 headers
        25s               -> abort a1, continue b2",
    );
}

#[test]
fn a_slow_client_is_not_the_target_s_silence() {
    check(
        "a b",
        "0ms begin         -> start a1
        1s a1 content 5   -> deliver a1
        2s a1 blocked
        60s a1 content 5
        75s               -> abort a1, continue b2",
    );
    check(
        "a b",
        "0ms begin         -> start a1
        1s a1 content 5   -> deliver a1
        2s a1 blocked
        60s a1 unblocked
        75s               -> abort a1, continue b2",
    );
    check(
        "a b",
        "0ms begin         -> start a1
        1s a1 content 5   -> deliver a1
        2s a1 finished
        2s a1 blocked
        60s a1 done       -> finish",
    );
}

#[test]
fn a_whole_answer_has_a_limit_of_its_own() {
    check("a b | whole", "0ms begin -> start a1\n 60s -> abort a1, start b2");
    check(
        "a b | whole",
        "0ms a succeeds 19 in 5s
        0ms begin -> start a1
        60s       -> abort a1, start b2",
    );
    check(
        "a b | whole",
        "0ms a succeeds 20 in 5s
        0ms begin -> start a1
        15s       -> abort a1, start b2",
    );
    check(
        "a b | whole",
        "0ms a succeeds 20 in 1s
        0ms begin -> start a1
        10s       -> abort a1, start b2",
    );
    // An answer that outlasted that is long, whoever gives it.
    check(
        "a b c | whole",
        "0ms a succeeds 20 in 5s
        0ms b succeeds 20 in 5s
        0ms begin    -> start a1
        15s          -> abort a1, start b2
        65s b2 done  -> deliver b2, finish",
    );
    check(
        "a | whole",
        "0ms begin    -> start a1
        60s          -> exempt a1
        119s a1 done -> deliver a1, finish",
    );
}

#[test]
fn progress_within_a_whole_answer_changes_nothing() {
    check(
        "a b | whole",
        "0ms begin       -> start a1
        1s a1 headers
        2s a1 content 5
        60s             -> abort a1, start b2",
    );
}

#[test]
fn a_launch_may_have_shorter_limits_but_not_longer_ones() {
    check(
        "a b",
        "policy select launch a first 2s
        0ms begin -> start a1
        2s        -> abort a1, start b2",
    );
    check(
        "a b",
        "policy select launch a first 50s
        0ms begin -> start a1
        10s       -> abort a1, start b2",
    );
    check(
        "a b",
        "policy select launch a total 4s
        0ms begin        -> start a1
        1s a1 content 5  -> deliver a1
        3s a1 content 5
        4s               -> abort a1, continue b2",
    );
}

#[test]
fn a_missing_terminator_is_waited_for_briefly() {
    check(
        "a b",
        "0ms begin         -> start a1
        1s a1 content 5   -> deliver a1
        2s a1 finished
        4s                -> abort a1, finish",
    );
    // Whatever is said after the end does not put it off.
    check(
        "a b",
        "0ms begin         -> start a1
        1s a1 content 5   -> deliver a1
        2s a1 finished
        3s a1 content 5
        3500ms a1 finished
        4s                -> abort a1, finish",
    );
    for end in ["cut", "malformed"] {
        check(
            "a b",
            &format!(
                "0ms begin         -> start a1
                1s a1 content 5   -> deliver a1
                2s a1 finished
                3s a1 {end}       -> finish"
            ),
        );
    }
    check(
        "a b | hold=all",
        "0ms begin         -> start a1
        1s a1 content 5
        2s a1 finished
        4s                -> abort a1, deliver a1, finish",
    );
}

#[test]
fn the_deadline_holds_in_every_phase() {
    let refused = "refuse 504 deadline_exceeded deadline after=1s";
    // A question without an answer.
    check("a | ask deadline=1s", &format!("0ms begin -> ask select built-in\n 1s -> {refused}"));
    // Silence, headers, content that is held, content that was delivered.
    check(
        "a | deadline=1s",
        &format!("0ms begin -> start a1\n 500ms -> exempt a1\n 1s -> abort a1, {refused}"),
    );
    check(
        "a b | deadline=1s hold=all",
        &format!(
            "0ms begin             -> start a1
            10ms a1 content 5
            1s                    -> abort a1, {refused}"
        ),
    );
    check(
        "a b | deadline=1s",
        &format!(
            "0ms begin             -> start a1
            10ms a1 content 5     -> deliver a1
            900ms a1 content 5
            1s                    -> abort a1, {refused}"
        ),
    );
    // A pause before a retry, and a policy's wait.
    check(
        "a | deadline=1s",
        &format!(
            "policy classify retry 900ms
            0ms begin             -> start a1
            50ms a1 500
            950ms                 -> start a2
            975ms                 -> exempt a2
            1s                    -> abort a2, {refused}"
        ),
    );
    check(
        "a | deadline=1s",
        &format!(
            "policy always select wait 600ms
            0ms begin
            600ms -> inadmissible policy: a wait in 600ms, beyond the deadline in 400ms, start a1
            800ms -> exempt a1
            1s    -> abort a1, {refused}"
        ),
    );
}

#[test]
fn nothing_starts_and_nothing_is_delivered_at_the_deadline() {
    let refused = "refuse 504 deadline_exceeded deadline after=1s";
    check(
        "a | ask deadline=1s",
        &format!("0ms begin -> ask select built-in\n 1s answer -> {refused}"),
    );
    check(
        "a | deadline=1s",
        &format!(
            "0ms begin        -> start a1
            500ms            -> exempt a1
            1s a1 content 5  -> abort a1, {refused}"
        ),
    );
    check(
        "a | deadline=1s",
        &format!(
            "0ms begin        -> start a1
            500ms            -> exempt a1
            1s a1 overflow   -> abort a1, {refused}"
        ),
    );
    check("a | deadline=0s", &format!("0ms begin -> {refused}"));
}

#[test]
fn the_deadline_blames_only_who_had_fair_time() {
    // The first was silent for its share and more; the second had a moment.
    check(
        "a(row=1) | deadline=4s",
        "0ms begin  -> start a1
        2s         -> exempt a1
        4s         -> abort a1, a open, refuse 504 deadline_exceeded deadline after=1s",
    );
    check(
        "a b(row=1) c(row=1) | deadline=4s",
        "0ms begin  -> start a1
        2s         -> abort a1, start b2
        3s         -> abort b2, start c3
        3500ms     -> abort c3, start a4
        3750ms     -> exempt a4
        4s         -> abort a4, refuse 504 deadline_exceeded deadline after=1s",
    );
    check(
        "a b(row=1) | deadline=4s",
        "0ms begin  -> start a1
        1900ms a1 503 -> start b2
        2900ms b2 content 5 -> deliver b2
        4s         -> abort b2, refuse 504 deadline_exceeded deadline after=1s
        5s circuit b  -> closed",
    );
}
