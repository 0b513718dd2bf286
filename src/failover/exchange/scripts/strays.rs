//! Events that come late, twice, or from nowhere; and a client that leaves.

use super::check;

#[test]
fn the_client_can_leave_in_every_phase() {
    check("a | ask", "0ms begin -> ask select built-in\n 1ms gone\n 2ms answer");
    check("a", "0ms begin -> start a1\n 1ms gone -> abort a1\n 2ms a1 content 5");
    check("a | hold=all", "0ms begin -> start a1\n 1ms a1 content 5\n 2ms gone -> abort a1");
    check(
        "a(row=1)",
        "0ms begin         -> start a1
        1ms a1 content 5  -> deliver a1
        2ms gone          -> abort a1
        3ms a1 done
        3ms circuit a        -> closed",
    );
    check("a", "0ms begin -> start a1\n 1ms a1 500\n 2ms gone\n 500ms woke");
    check("a", "0ms a cools 2s rate-limited\n 0ms begin\n 1ms gone\n 3s woke");
    check(
        "a(hedges=1) b(hedges=1)",
        "policy select launch a, b, b after 1s
        0ms begin         -> start a1, start b2
        1ms gone          -> abort a1, abort b2
        3s woke",
    );
    check("a | ask", "0ms begin -> ask select built-in\n 1ms gone\n 1ms gone");
}

#[test]
fn after_the_end_nothing_is_said() {
    check(
        "a",
        "0ms begin    -> start a1
        1ms a1 done  -> deliver a1, finish
        2ms a1 done
        2ms a1 content 5
        2ms gone
        200s woke",
    );
}

#[test]
fn an_ended_attempt_is_not_heard_again() {
    check(
        "a b",
        "0ms begin         -> start a1
        1ms a1 503        -> start b2
        2ms a1 503
        2ms a1 content 5
        2ms a1 done
        3ms b2 done       -> deliver b2, finish",
    );
}

#[test]
fn attempts_that_never_were_are_ignored() {
    check(
        "a b",
        "0ms begin         -> start a1
        1ms b2 content 5
        1ms z99 done
        1ms z99 503
        2ms a1 done       -> deliver a1, finish",
    );
}

#[test]
fn an_answer_to_another_question_is_ignored() {
    check(
        "a b | ask",
        "0ms begin                 -> ask select built-in
        0ms answer                -> start a1
        1ms a1 503                -> ask classify built-in
        1ms answer again launch b
        1ms answer                -> ask select built-in
        1ms answer                -> start b2
        2ms answer",
    );
}

#[test]
fn waking_early_changes_nothing() {
    check(
        "a b",
        "0ms begin   -> start a1
        1ms woke
        9s woke
        10s         -> abort a1, start b2",
    );
}
