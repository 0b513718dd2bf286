//! What calls leave behind for each other: circuits, cooldowns, credentials,
//! places in flight.

use super::check;

#[test]
fn failures_of_several_calls_open_the_circuit() {
    check(
        "a(row=3) b",
        "0ms begin           -> start a1
        0ms a1 503          -> start b2
        #2 0ms begin        -> start a1
        #2 0ms a1 503       -> start b2
        #3 0ms begin        -> start a1
        #3 0ms a1 503       -> a open, start b2
        #4 0ms begin        -> start b1
        #4 1ms circuit a       -> open",
    );
}

#[test]
fn a_half_open_circuit_admits_one_probe_of_two_calls() {
    let opened = "0ms a fails 5 server-error
        #1 2s begin         -> start a1
        #2 2s begin         -> start b1";
    check(
        "a b",
        &format!(
            "{opened}
            #1 3s a1 content 5  -> deliver a1
            #1 4s a1 done       -> a closed, finish
            #3 4s begin         -> start a1
            #4 4s begin         -> start a1"
        ),
    );
    check(
        "a b",
        &format!(
            "{opened}
            #1 3s a1 503        -> a open, start b2
            #3 4s begin         -> start b1
            #4 6s begin         -> start a1"
        ),
    );
}

#[test]
fn a_probe_that_says_nothing_of_the_target_is_given_back() {
    for end in ["gone", "a1 400"] {
        let said = if end == "gone" { "abort a1" } else { "refuse 400 invalid_request surfaced" };
        check(
            "a b",
            &format!(
                "0ms a fails 5 server-error
                2s begin         -> start a1
                3s {end}         -> {said}
                #2 3s begin      -> start a1
                3s circuit a        -> half-open"
            ),
        );
    }
}

#[test]
fn while_nothing_is_healthy_a_target_is_probed_once_a_second() {
    // Opened three times, the circuit rests for four seconds and more.
    check(
        "a | deadline=3s",
        "0ms a fails 5 server-error
        2s a fails 1 server-error
        5s a fails 1 server-error
        #1 5900ms begin    -> refuse 503 no_target_available nothing-to-try after=3s
        #2 6000ms begin    -> start a1
        #3 6000ms begin    -> refuse 503 no_target_available nothing-to-try after=3s
        #2 6100ms a1 503   -> a open, refuse 503 server_is_overloaded exhausted after=7s",
    );
}

#[test]
fn a_rejected_credential_takes_every_target_it_serves_out() {
    for (failure, class) in [("401", "authentication"), ("429 quota", "quota")] {
        check(
            "a(key=k) b(key=k) c",
            &format!(
                "0ms begin        -> start a1
                0ms a1 {failure} -> a out {class}, start c2
                1s gone          -> abort c2
                #2 29m begin     -> start c1
                #2 29m gone      -> abort c1
                #3 31m begin     -> start a1"
            ),
        );
    }
}

#[test]
fn a_full_target_counts_as_one_that_is_not_there() {
    check(
        "a(full=1) b",
        "0ms begin        -> start a1
        #2 0ms begin     -> start b1
        1s a1 done       -> deliver a1, finish
        #3 1s begin      -> start a1",
    );
    check(
        "a(full=1)",
        "0ms begin        -> start a1
        #2 0ms begin
        150ms a1 done    -> deliver a1, finish
        #2 200ms         -> start a1",
    );
}

#[test]
fn an_adaptive_limit_shrinks_when_there_is_no_connection_in_time() {
    for (failure, next) in [("connect-timeout", "b1"), ("reset", "a1")] {
        check(
            "a(adaptive=2) b",
            &format!(
                "0ms begin        -> start a1
                10ms a1 {failure}
                110ms            -> start a2
                #2 120ms begin   -> start {next}"
            ),
        );
    }
}

#[test]
fn a_rate_limit_counts_in_the_rate_and_not_in_the_row() {
    check(
        "a(row=2) b",
        "0ms a succeeds 40 in 5ms
        0ms begin                  -> start a1
        0ms a1 429 retry-after=1s  -> start b2
        #2 2s begin                -> start a1
        #2 2s a1 429               -> start b2
        #3 4s begin                -> start a1
        #3 4s a1 429               -> start b2
        5s circuit a                  -> closed",
    );
}

#[test]
fn a_ruling_can_take_a_target_out_of_rotation() {
    check(
        "a(row=1) b",
        "policy classify server-error uncounted cool 30s reselect
        0ms begin        -> start a1
        0ms a1 500       -> start b2
        1s gone          -> abort b2
        #2 29s begin     -> start b1
        #3 31s begin     -> start a1",
    );
}

#[test]
fn the_client_s_own_mistakes_count_against_nobody() {
    for mistake in ["400", "400 content-filter", "400 context-length"] {
        let (code, cause) = match mistake {
            "400" => ("invalid_request", "surfaced"),
            "400 content-filter" => ("content_filter", "surfaced"),
            _ => ("context_length_exceeded", "surfaced"),
        };
        check(
            "a(row=1)",
            &format!(
                "0ms begin        -> start a1
                0ms a1 {mistake} -> refuse 400 {code} {cause}
                0ms circuit a       -> closed"
            ),
        );
    }
}
