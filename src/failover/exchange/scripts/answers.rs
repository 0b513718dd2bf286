//! From the first content to the end: what is held, what is judged, what is
//! delivered, and how a broken answer goes on.

use super::check;

#[test]
fn nothing_is_delivered_before_what_is_to_be_held() {
    check(
        "a b | hold=10",
        "0ms begin          -> start a1
        10ms a1 content 4
        20ms a1 content 5
        30ms a1 content 1  -> deliver a1
        40ms a1 done       -> finish",
    );
    check(
        "a b | hold=10",
        "0ms begin          -> start a1
        10ms a1 content 4
        20ms a1 cut        -> start b2
        30ms b2 content 4
        40ms b2 done       -> deliver b2, finish",
    );
    check(
        "a b | hold=all",
        "0ms begin            -> start a1
        10ms a1 content 4000
        20ms a1 cut          -> start b2
        30ms b2 content 4000
        40ms b2 done         -> deliver b2, finish",
    );
    // What has no text would be held for ever.
    check("a | hold=10", "0ms begin -> start a1\n 10ms a1 tool-call -> deliver a1");
}

#[test]
fn an_answer_that_outgrows_what_is_held_comes_as_it_is() {
    check(
        "a b | whole",
        "0ms begin          -> start a1
        10s a1 overflow    -> deliver a1
        20s a1 overflow
        30s a1 done        -> finish",
    );
    check(
        "a b | whole",
        "0ms begin          -> start a1
        10s a1 overflow    -> deliver a1
        25s                -> abort a1, refuse 504 timeout exhausted after=1s",
    );
    check(
        "a b | hold=all",
        "0ms begin            -> start a1
        10ms a1 content 4000
        20ms a1 overflow     -> deliver a1
        30ms a1 cut          -> refuse 502 upstream_error exhausted after=1s",
    );
}

#[test]
fn a_broken_text_is_continued_elsewhere() {
    for failure in ["cut", "malformed", "reset", "500 server-error", "503"] {
        check(
            "a b",
            &format!(
                "0ms begin          -> start a1
                10ms a1 content 5  -> deliver a1
                20ms a1 {failure}  -> continue b2
                30ms b2 content 5  -> deliver b2
                40ms b2 content 5
                50ms b2 done       -> finish"
            ),
        );
    }
}

#[test]
fn a_continuation_can_itself_be_continued() {
    check(
        "a b c",
        "0ms begin          -> start a1
        10ms a1 content 5  -> deliver a1
        20ms a1 cut        -> continue b2
        30ms b2 cut        -> continue c3
        40ms c3 content 5  -> deliver c3
        50ms c3 cut        -> continue a4
        60ms a4 done       -> deliver a4, finish",
    );
    check(
        "a b | attempts=2",
        "0ms begin          -> start a1
        10ms a1 content 5  -> deliver a1
        20ms a1 cut        -> continue b2
        30ms b2 cut        -> refuse 502 upstream_error exhausted after=1s",
    );
}

/// A target that is asked to go on and says nothing has not ended the answer;
/// one that takes the text for its own can know that it is whole.
#[test]
fn an_empty_continuation_is_no_end() {
    let script = |end: &str| {
        format!(
            "0ms begin          -> start a1
            10ms a1 content 5  -> deliver a1
            20ms a1 cut        -> continue b2
            30ms b2 blank 2    -> deliver b2
            {end}"
        )
    };
    let refused = "refuse 502 upstream_error exhausted after=1s";
    for (end, as_asked) in [
        ("40ms b2 done       -> continue c3\n 50ms c3 content 5 -> deliver c3", false),
        ("40ms b2 finished\n 50ms b2 done -> continue c3", false),
        ("40ms b2 finished\n 50ms b2 cut  -> continue c3", false),
        ("40ms b2 finished\n 2040ms       -> abort b2, continue c3", false),
        ("40ms b2 done       -> finish", true),
    ] {
        let b = if as_asked { "b" } else { "b(no-prefill)" };
        check(&format!("a {b} c"), &script(end));
    }
    let world = "a b(no-prefill) | attempts=2";
    check(world, &script(&format!("40ms b2 done -> {refused}")));
    for end in
        ["40ms b2 content 5\n 50ms b2 done -> finish", "40ms b2 tool-call\n 50ms b2 done -> finish"]
    {
        check(world, &script(end));
    }
}

/// A target that has nothing to add is not to blame for what cannot be known.
#[test]
fn an_empty_continuation_is_held_against_nobody() {
    check(
        "a b(no-prefill,row=1) | attempts=2",
        "0ms begin          -> start a1
        10ms a1 content 5  -> deliver a1
        20ms a1 cut        -> continue b2
        40ms b2 content 0  -> deliver b2
        50ms b2 finished
        60ms b2 done       -> refuse 502 upstream_error exhausted after=1s",
    );
}

/// Once the model said why it stopped, the answer is whole, whatever follows.
#[test]
fn after_the_finish_nothing_is_a_failure() {
    for end in ["done", "cut", "malformed", "reset", "500 server-error", "429 rate-limit"] {
        let script = format!(
            "0ms begin          -> start a1
            10ms a1 content 5  -> deliver a1
            20ms a1 finished
            30ms a1 {end}      -> finish"
        );
        check("a b", &script);
    }
}

#[test]
fn an_answer_without_text_yet_is_still_continued() {
    check(
        "a b",
        "0ms begin          -> start a1
        10ms a1 content 0  -> deliver a1
        20ms a1 cut        -> continue b2
        30ms b2 content 5  -> deliver b2
        40ms b2 done       -> finish",
    );
}

#[test]
fn what_cannot_be_continued_ends_in_an_error() {
    let cut = "refuse 502 upstream_error exhausted after=1s";
    check(
        "a b",
        &format!(
            "0ms begin          -> start a1
            10ms a1 content 5  -> deliver a1
            20ms a1 tool-call
            30ms a1 cut        -> {cut}"
        ),
    );
    for world in ["a b | rescue=error", "a b | embeddings"] {
        check(
            world,
            &format!(
                "0ms begin          -> start a1
                10ms a1 content 5  -> deliver a1
                30ms a1 cut        -> {cut}"
            ),
        );
    }
}

#[test]
fn text_is_retried_on_the_same_target_only_if_ruled() {
    check(
        "a b",
        "policy classify retry 100ms
        0ms begin          -> start a1
        10ms a1 content 5  -> deliver a1
        20ms a1 cut
        120ms              -> continue a2
        130ms a2 content 5 -> deliver a2",
    );
}

#[test]
fn a_rejected_answer_is_replaced_before_the_commit() {
    check(
        "a b",
        "policy validate reject empty
        0ms begin          -> start a1
        10ms a1 content 5  -> abort a1, start b2
        20ms b2 content 5  -> deliver b2
        30ms b2 done       -> finish",
    );
    check(
        "a b | whole",
        "policy validate reject empty
        0ms begin          -> start a1
        10ms a1 done       -> start b2
        20ms b2 done       -> deliver b2, finish",
    );
    check(
        "a b | whole per-target=1",
        "policy always validate reject empty
        0ms begin          -> start a1
        10ms a1 done       -> start b2
        20ms b2 done       -> refuse 502 upstream_error exhausted after=1s",
    );
}

#[test]
fn a_rejected_answer_ends_in_an_error_after_the_commit() {
    check(
        "a b",
        "policy validate accept
        policy validate reject cut
        0ms begin          -> start a1
        10ms a1 content 5  -> deliver a1
        20ms a1 done       -> refuse 502 upstream_error rejected after=1s",
    );
}

#[test]
fn a_rejection_counts_only_if_the_policy_says_so() {
    for (verdict, change, after) in
        [("reject empty", "", "closed"), ("reject empty counts", "a open, ", "open")]
    {
        check(
            "a(row=1) b | whole",
            &format!(
                "policy validate {verdict}
                0ms begin     -> start a1
                10ms a1 done  -> {change}start b2
                10ms circuit a   -> {after}"
            ),
        );
    }
}

#[test]
fn an_answer_can_be_amended_until_it_is_delivered() {
    check(
        "a | whole",
        "policy validate amend better
        0ms begin          -> start a1
        10ms a1 done       -> deliver a1 as better, finish",
    );
    check(
        "a",
        "policy validate amend better
        policy validate amend best
        0ms begin          -> start a1
        10ms a1 content 5  -> deliver a1 as better
        20ms a1 done       -> inadmissible policy: amended a delivered answer, finish",
    );
}

#[test]
fn a_verdict_counts_only_while_its_matter_stands() {
    // The answer broke off, or grew too large, while its beginning was judged.
    check(
        "a b | ask",
        "0ms begin           -> ask select built-in
        0ms answer          -> start a1
        10ms a1 content 5   -> ask validate built-in
        20ms a1 cut
        30ms answer         -> ask classify built-in
        30ms answer         -> ask select built-in
        30ms answer         -> start b2",
    );
    check(
        "a | ask hold=10",
        "0ms begin           -> ask select built-in
        0ms answer          -> start a1
        10ms a1 content 50  -> ask validate built-in
        20ms a1 overflow    -> deliver a1
        30ms answer
        40ms a1 done        -> finish",
    );
    check(
        "a(hedges=1) b(hedges=1) | ask whole",
        "0ms begin           -> ask select built-in
        0ms answer launch a, b -> start a1, start b2
        10ms a1 done        -> ask validate built-in
        20ms b2 overflow    -> deliver b2
        30ms answer accept
        40ms b2 done        -> finish",
    );
}

#[test]
fn an_answer_that_ends_while_it_is_judged_is_judged_as_a_whole() {
    check(
        "a | ask",
        "0ms begin           -> ask select built-in
        0ms answer          -> start a1
        10ms a1 content 5   -> ask validate built-in
        20ms a1 done
        30ms answer accept  -> ask validate built-in
        30ms answer amend x -> deliver a1 as x, finish",
    );
}
