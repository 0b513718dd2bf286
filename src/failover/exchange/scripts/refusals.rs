//! What the client is told when nothing is left.

use super::check;

/// Every target fails like this; then the client is told that.
fn check_all_fail(failures: [&str; 2], refusal: &str) {
    let [first, second] = failures;
    let out = |name: &str, failure: &str| match failure {
        "401" => format!("{name} out authentication, "),
        "429 quota" => format!("{name} out quota, "),
        _ => String::new(),
    };
    check(
        "a b | per-target=1",
        &format!(
            "0ms begin        -> start a1
            0ms a1 {first}   -> {}start b2
            0ms b2 {second}  -> {}refuse {refusal}",
            out("a", first),
            out("b", second),
        ),
    );
}

#[test]
fn failures_of_one_kind_name_it() {
    check_all_fail(["429 retry-after=9s"; 2], "429 rate_limit_exceeded exhausted after=9s");
    check_all_fail(["429"; 2], "429 rate_limit_exceeded exhausted after=1s");
    check_all_fail(["503"; 2], "503 server_is_overloaded exhausted after=1s");
    check_all_fail(["reset"; 2], "502 upstream_error exhausted after=1s");
    check_all_fail(["no-answer"; 2], "502 upstream_error exhausted after=1s");
    check_all_fail(["404"; 2], "404 model_not_found exhausted");
}

#[test]
fn our_own_credentials_are_never_the_client_s() {
    check_all_fail(["401"; 2], "502 upstream_auth exhausted after=60s");
    check_all_fail(["403"; 2], "502 upstream_permission exhausted after=1s");
    check_all_fail(["429 quota"; 2], "503 upstream_quota exhausted after=60s");
    check(
        "a",
        "policy classify authentication surface
        0ms begin  -> start a1
        0ms a1 401 -> a out authentication, refuse 502 upstream_auth surfaced",
    );
}

#[test]
fn of_several_kinds_the_last_that_may_pass_is_named() {
    check_all_fail(["429", "500"], "502 upstream_error exhausted after=1s");
    check_all_fail(["500", "429"], "429 rate_limit_exceeded exhausted after=1s");
    check_all_fail(["429", "401"], "429 rate_limit_exceeded exhausted after=1s");
    check_all_fail(["401", "503"], "503 server_is_overloaded exhausted after=1s");
    check_all_fail(["401", "404"], "404 model_not_found exhausted");
}

#[test]
fn what_cannot_be_asked_costs_no_attempt() {
    check(
        "a b c | attempts=1",
        "0ms begin          -> start a1
        0ms a1 unsupported -> start b2
        0ms b2 unsupported -> start c3
        0ms c3 503         -> refuse 503 server_is_overloaded exhausted after=1s",
    );
    check_all_fail(["unsupported"; 2], "400 unsupported_by_fallback surfaced");
}

/// What cannot be read cannot be translated; a target that takes it as it is
/// may know better.
#[test]
fn what_cannot_be_read_is_the_client_s_to_mend() {
    check(
        "a b | attempts=1",
        "0ms begin         -> start a1
        0ms a1 unreadable -> start b2
        0ms b2 done       -> deliver b2, finish",
    );
    check_all_fail(["unreadable"; 2], "400 invalid_value surfaced");
    check_all_fail(["unreadable", "503"], "503 server_is_overloaded exhausted after=1s");
    check_all_fail(["503", "unreadable"], "503 server_is_overloaded exhausted after=1s");
}

#[test]
fn attempts_that_we_ended_do_not_speak() {
    check(
        "a(hedges=1) b(hedges=1) | rescue=error",
        "policy select launch a, b
        policy classify content-filter reselect
        0ms begin          -> start a1, start b2
        10ms a1 content 5  -> abort b2, deliver a1
        20ms a1 500        -> refuse 400 content_filter exhausted",
    );
}

#[test]
fn retry_after_is_the_soonest_recovery_and_at_most_a_minute() {
    check_all_fail(
        ["429 retry-after=30s", "429 retry-after=9s"],
        "429 rate_limit_exceeded exhausted after=9s",
    );
    check_all_fail(["429 retry-after=1h"; 2], "429 rate_limit_exceeded exhausted after=60s");
}

/// That a stand-in cannot take the call is not the client's to mend while its
/// first target is only out for a while.
#[test]
fn a_passing_failure_is_not_hidden_by_a_stand_in() {
    for stand_in in ["unsupported", "unreadable", "400 context-length"] {
        check(
            "a b",
            &format!(
                "0ms begin                     -> start a1
                0ms a1 429 retry-after=30s    -> start b2
                0ms b2 {stand_in}  -> refuse 429 rate_limit_exceeded exhausted after=30s"
            ),
        );
        check(
            "a b",
            &format!(
                "0ms a cools 40s rate-limited
                0ms begin          -> start b1
                0ms b1 {stand_in}  -> refuse 429 rate_limit_exceeded exhausted after=40s"
            ),
        );
    }
}

#[test]
fn timeouts_everywhere_are_a_timeout() {
    check(
        "a b | attempts=2",
        "0ms begin          -> start a1
        10s                -> abort a1, start b2
        20s                -> exempt b2
        119s b2 content 0  -> deliver b2
        120s               -> abort b2, refuse 504 deadline_exceeded deadline after=1s",
    );
}

#[test]
fn a_surfaced_failure_keeps_its_status() {
    check(
        "a",
        "policy classify surface
        0ms begin                      -> start a1
        0ms a1 529 retry-after=7s      -> refuse 529 upstream_error surfaced after=7s",
    );
    check(
        "a",
        "policy classify network surface
        0ms begin                      -> start a1
        0ms a1 reset                   -> refuse 502 upstream_error surfaced",
    );
}

#[test]
fn without_anything_to_try_it_says_so() {
    let nothing = "refuse 503 no_target_available nothing-to-try";
    check("a(no-tools) | tools", &format!("0ms begin -> {nothing}"));
    check("", &format!("0ms begin -> {nothing}"));
    // A credential comes back by itself.
    check(
        "a",
        &format!(
            "0ms begin     -> start a1
            0ms a1 401    -> a out authentication, refuse 502 upstream_auth exhausted after=60s
            #2 1s begin   -> {nothing} after=60s
            #3 1790s begin -> {nothing} after=10s"
        ),
    );
}

/// Clients learn the same from the call that failed and from those after it.
#[test]
fn while_targets_cool_down_their_failure_is_the_answer() {
    let nothing = "refuse 503 no_target_available nothing-to-try after=40s";
    for (class, refusal) in [
        ("rate-limited", "429 rate_limit_exceeded nothing-to-try after=40s"),
        ("overloaded", "503 server_is_overloaded nothing-to-try after=40s"),
        ("not-found", "404 model_not_found nothing-to-try"),
    ] {
        check("a", &format!("0ms a cools 40s {class}\n 0ms begin -> refuse {refusal}"));
        let both = format!("0ms a cools 40s {class}\n 0ms b cools 50s {class}");
        check("a b", &format!("{both}\n 0ms begin -> refuse {refusal}"));
        // One that could not have stood for the first does not count.
        check(
            "a(no-tools) b | tools",
            &format!("0ms b cools 40s {class}\n 0ms begin -> refuse {refusal}"),
        );
        // One that is out for another reason does.
        check(
            "a b",
            &format!("0ms a cools 40s {class}\n 0ms b cools 50s timeout\n 0ms begin -> {nothing}"),
        );
    }
    check(
        "a b | deadline=3s",
        "0ms a cools 40s rate-limited
        0ms b fails 5 server-error
        2s b fails 1 server-error
        5s b fails 1 server-error
        5900ms begin -> refuse 503 no_target_available nothing-to-try after=3s",
    );
}
