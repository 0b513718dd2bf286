//! Plans of several launches: hedges and races.

use super::check;

const PLENTY: &str = "a(hedges=1) b(hedges=1) c(hedges=1)";

#[test]
fn a_hedge_starts_after_its_delay_and_the_first_to_speak_wins() {
    check(
        PLENTY,
        "policy select launch a, b after 50ms
        0ms begin           -> start a1
        50ms                -> start b2
        60ms b2 content 5   -> abort a1, deliver b2
        70ms b2 done        -> finish",
    );
}

#[test]
fn the_same_target_again_gets_the_same_request() {
    check(
        "a b",
        "policy select launch a without /seed
        policy classify retry 1s
        0ms begin        -> start a1 without /seed
        10ms a1 503
        1010ms           -> start a2 without /seed",
    );
}

/// A plan's own limits may be any length: what they cut says nothing about the
/// target.
#[test]
fn a_plan_s_own_limits_hurt_no_target() {
    check(
        "a(row=1) b",
        "policy select launch a first 1ms
        0ms begin        -> start a1
        1ms              -> abort a1, start b2
        2ms circuit a    -> closed",
    );
    check(
        "a(row=1) b",
        "policy select launch a total 1s
        0ms begin           -> start a1
        10ms a1 content 5   -> deliver a1
        1s                  -> abort a1, continue b2
        2s circuit a        -> closed",
    );
}

#[test]
fn an_answer_in_time_needs_no_hedge() {
    check(
        PLENTY,
        "policy select launch a, b after 50ms
        0ms begin           -> start a1
        40ms a1 content 5   -> deliver a1
        5s a1 done          -> finish",
    );
}

#[test]
fn a_race_starts_all_at_once_and_the_losers_are_not_blamed() {
    check(
        "a(hedges=1,row=1) b(hedges=1,row=1)",
        "policy select launch a, b
        0ms begin        -> start a1, start b2
        60ms b2 done     -> abort a1, deliver b2, finish
        70ms circuit a      -> closed
        70ms circuit b      -> closed",
    );
}

#[test]
fn a_failure_brings_the_next_hedge_forward() {
    check(
        PLENTY,
        "policy select launch a, b after 5s, c after 9s
        0ms begin        -> start a1
        10ms a1 503      -> start b2
        20ms b2 503      -> start c3
        30ms c3 done     -> deliver c3, finish",
    );
    // Not while another of the plan is still at it.
    check(
        PLENTY,
        "policy select launch a, b after 1s, c after 9s
        0ms begin        -> start a1
        1s               -> start b2
        1500ms a1 503
        9s               -> start c3",
    );
}

#[test]
fn a_race_is_lost_when_all_have_failed() {
    check(
        PLENTY,
        "policy select launch a, b
        0ms begin        -> start a1, start b2
        10ms a1 503
        20ms b2 503      -> start c3",
    );
}

#[test]
fn a_race_of_whole_answers_is_won_by_the_first_that_is_complete() {
    check(
        &format!("{PLENTY} | whole"),
        "policy select launch a, b
        0ms begin          -> start a1, start b2
        10ms a1 headers
        10ms a1 content 5
        20ms b2 done       -> abort a1, deliver b2, finish",
    );
}

#[test]
fn a_rejected_winner_leaves_the_race_to_the_others() {
    check(
        PLENTY,
        "policy select launch a, b
        policy validate reject empty
        0ms begin          -> start a1, start b2
        10ms a1 content 5  -> abort a1
        20ms b2 content 5  -> deliver b2
        30ms b2 done       -> finish",
    );
}

#[test]
fn hedges_have_a_budget_of_their_own() {
    check(
        "a b",
        "policy always select launch a, b
        0ms begin          -> start a1, start b2
        #2 0ms begin       -> start a1, barred b over-budget
        #1 1s gone         -> abort a1, abort b2
        #2 9s a1 503       -> start a2, barred b over-budget
        #3 11s begin       -> start a1, start b2",
    );
}

#[test]
fn a_retry_is_planned_beside_a_running_hedge() {
    check(
        PLENTY,
        "policy select launch a, b after 50ms
        policy classify retry 100ms
        0ms begin          -> start a1
        50ms               -> start b2
        60ms a1 500
        160ms              -> start a3
        170ms b2 done      -> abort a3, deliver b2, finish",
    );
    check(
        PLENTY,
        "policy select launch a, b after 50ms
        policy classify retry 100ms
        0ms begin          -> start a1
        50ms               -> start b2
        60ms a1 500
        70ms b2 content 5  -> deliver b2
        80ms b2 done       -> finish",
    );
}

#[test]
fn the_last_of_a_plan_is_exempt_but_not_one_with_company() {
    check(
        &format!("{PLENTY} | attempts=2"),
        "policy select launch a, b after 5s
        0ms begin  -> start a1
        5s         -> start b2
        10s        -> abort a1
        15s        -> exempt b2",
    );
}

#[test]
fn a_plan_s_barred_launches_are_left_out() {
    check(
        PLENTY,
        "0ms a cools 1h rate-limited
        policy select launch a, b after 50ms
        0ms begin  -> barred a cooling-down, start b1",
    );
    check(
        PLENTY,
        "0ms a cools 1h rate-limited
        policy select launch a
        0ms begin  -> barred a cooling-down, start b1",
    );
}

#[test]
fn the_same_target_can_be_hedged_with_itself() {
    check(
        PLENTY,
        "policy select launch a, a after 50ms, a after 60ms
        0ms begin        -> start a1
        50ms             -> start a2
        60ms             -> barred a tried-out
        70ms a2 done     -> abort a1, deliver a2, finish",
    );
}

#[test]
fn an_embedding_goes_to_the_same_model_or_nowhere() {
    check(
        "a(model=e) b(model=other) c(model=org/E) | whole embeddings per-target=1",
        "policy always select launch b, c
        0ms begin     -> barred b hopeless, start c1
        0ms c1 503    -> barred b hopeless, barred c tried-out, start a2",
    );
    check(
        "a(model=e) b(model=other) | whole embeddings per-target=1",
        "0ms begin     -> start a1
        0ms a1 503    -> refuse 503 server_is_overloaded exhausted after=1s",
    );
    check(
        "a(model=e) b(model=other) | whole per-target=1",
        "0ms begin     -> start a1
        0ms a1 503    -> start b2",
    );
}
