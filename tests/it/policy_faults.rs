//! Policies that misbehave: every fault is an answer like any other, comes in
//! time, gives everything back, is counted, and leaves the next call alone.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backstay::failover::call::CandidateId;
use backstay::failover::consult::{Launch, Opinion, Selection};
use backstay::policy::{Limits, PolicyState};

use crate::support::guests::{from_text, misbehaving, variant};
use crate::support::policies::{
    Fixture, TestClock, candidates, classify, library_of, material, select, validate,
};

/// The process may be set aside for as long, beside the policy's own time.
const GRACE: Duration = Duration::from_millis(50);

fn misbehaving_with(limits: Limits) -> Fixture {
    library_of(&[("guest", misbehaving())], limits, &TestClock::default())
}

fn first() -> Opinion {
    Opinion::Select(Selection::Launch(vec![Launch::plain(CandidateId(0))]))
}

fn answer(text: &str) -> Opinion {
    Opinion::Select(Selection::Answer(text.to_owned()))
}

#[expect(clippy::disallowed_methods, reason = "how long a call really takes is what is tested")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = Instant::now();
    let result = work();
    (result, before.elapsed())
}

/// Asks the guest to do `deed`, expects a fault whose reason contains `reason`.
fn check_with(limits: Limits, deed: &str, reason: &str) {
    let time = limits.time;
    let fixture = misbehaving_with(limits);
    let policy = fixture.policy("guest");
    assert_eq!(policy.ask(&select(candidates(2)), &material("{}")), first());
    let idle = fixture.library.usage();

    let settings = material(&format!(r#"{{"do": "{deed}"}}"#));
    let (opinion, took) = timed(|| policy.ask(&select(candidates(2)), &settings));
    let Opinion::Fault { reason: given } = opinion else { panic!("{deed}: {opinion:?}") };
    assert!(given.contains(reason), "{deed}: {given}");
    assert!(took <= time + GRACE, "{deed} took {took:?}");
    assert_eq!(fixture.library.usage(), idle, "{deed}: instances and memory are given back");

    let status = fixture.status("guest");
    assert_eq!((status.faults, status.digest), (1, Some(policy.digest())), "{deed}");
    assert_eq!(status.last_fault.map(|fault| fault.reason), Some(given), "{deed}");
    assert_eq!(policy.ask(&select(candidates(2)), &material("{}")), first(), "{deed}: the next");
}

fn check(deed: &str, reason: &str) {
    check_with(Limits::default(), deed, reason);
}

#[test]
fn runaway_guests_are_ended() {
    check("loop", "time limit");
    check("recurse", "stack limit");
    check("memory-bomb", "memory limit");
}

#[test]
fn guests_that_give_up_are_faults() {
    check("panic", "unreachable");
    check("exit", "called exit with 0");
    check("sleep", "a policy cannot wait");
}

#[test]
fn answers_beyond_all_bounds_are_faults() {
    // Time that even an unoptimised host on a busy machine does not need.
    let patient = Limits { time: Duration::from_secs(5), ..Limits::default() };
    check_with(patient.clone(), "launches", "10000 launches, of which at most 64");
    check("long-text", "100000 bytes of text, of which at most 65536");
    check("list-bomb", "memory limit");
    check_refused(&from_text("", OVERLAPPING_LISTS), &["fuel"]);
    // With memory for ten million launches, the host still does not take them.
    let wide = Limits { memory: 512 << 20, ..patient };
    check_refused_with(wide, &from_text("", TEN_MILLION_LAUNCHES), &["fuel"]);
}

/// Six million edits in a quarter of a megabyte: a thousand launches of 32
/// bytes, from 16,384 on, that all point to the same 6,000 edits of 20 bytes.
const OVERLAPPING_LISTS: &str = "(local $launch i32)
    (local.set $launch (i32.const 16384))
    (loop $next
      (i32.store offset=24 (local.get $launch) (i32.const 65536))
      (i32.store offset=28 (local.get $launch) (i32.const 6000))
      (local.set $launch (i32.add (local.get $launch) (i32.const 32)))
      (br_if $next (i32.lt_u (local.get $launch) (i32.const 48384))))
    (i32.store offset=0 (i32.const 0) (i32.const 1))
    (i32.store offset=4 (i32.const 0) (i32.const 1))
    (i32.store offset=8 (i32.const 0) (i32.const 16384))
    (i32.store offset=12 (i32.const 0) (i32.const 1000))";

/// As many launches of 32 bytes, all zeros, from 262,144 on, in memory that
/// does not even have to be written to.
const TEN_MILLION_LAUNCHES: &str = "(drop (memory.grow (i32.const 5000)))
    (i32.store offset=0 (i32.const 0) (i32.const 1))
    (i32.store offset=4 (i32.const 0) (i32.const 1))
    (i32.store offset=8 (i32.const 0) (i32.const 262144))
    (i32.store offset=12 (i32.const 0) (i32.const 10000000))";

#[test]
fn the_time_limit_holds_for_every_verb() {
    let fixture = misbehaving_with(Limits::default());
    let policy = fixture.policy("guest");
    let endless = material(r#"{"do": "loop"}"#);
    let class = backstay::failover::classify::FailureClass::Timeout;
    for question in [classify(candidates(2), class), validate(candidates(2))] {
        let (opinion, took) = timed(|| policy.ask(&question, &endless));
        assert!(matches!(opinion, Opinion::Fault { .. }), "{opinion:?}");
        assert!(took <= Limits::default().time + GRACE, "{took:?}");
    }
}

/// Without the limit the loop would not end: the limit is what ends it.
#[test]
fn a_longer_limit_ends_a_loop_later() {
    let limits = Limits { time: Duration::from_millis(200), ..Limits::default() };
    let fixture = misbehaving_with(limits);
    let endless = material(r#"{"do": "loop"}"#);
    let policy = fixture.policy("guest");
    let (_, took) = timed(|| policy.ask(&select(candidates(2)), &endless));
    assert!(took >= Duration::from_millis(150), "{took:?}");
}

#[test]
fn odd_answers_are_left_to_the_heart() {
    let fixture = misbehaving_with(Limits::default());
    let policy = fixture.policy("guest");
    let ask = |deed: &str| {
        policy.ask(&select(candidates(2)), &material(&format!(r#"{{"do": "{deed}"}}"#)))
    };
    let unknown = Launch::plain(CandidateId(99));
    assert_eq!(ask("unknown-candidate"), Opinion::Select(Selection::Launch(vec![unknown])));
    let ten_days = Duration::from_hours(240);
    assert_eq!(ask("wait-10-days"), Opinion::Select(Selection::Wait(ten_days)));
    policy.count_fault("unknown candidate 99");
    let status = fixture.status("guest");
    assert_eq!(status.faults, 1);
    assert_eq!(status.last_fault.expect("it was counted").reason, "unknown candidate 99");
}

#[test]
fn no_call_sees_what_another_left() {
    let limits = Limits { time: Duration::from_secs(5), ..Limits::default() };
    let fixture = misbehaving_with(limits);
    let policy = fixture.policy("guest");
    let ask = |deed: &str| {
        policy.ask(&select(candidates(2)), &material(&format!(r#"{{"do": "{deed}"}}"#)))
    };
    for round in 0..8 {
        assert!(matches!(ask("leave-secret"), Opinion::Select(Selection::Answer(_))));
        assert_eq!(ask("hunt-secret"), answer("0"), "round {round}");
        assert_eq!(ask("count"), answer("1"), "round {round}");
    }
}

#[test]
fn what_a_policy_remembers_outlives_its_instances() {
    let clock = TestClock::default();
    let fixture = library_of(&[("guest", misbehaving())], Limits::default(), &clock);
    let policy = fixture.policy("guest");
    let ask = || policy.ask(&select(candidates(2)), &material(r#"{"do": "remember"}"#));
    assert_eq!(ask(), answer("1"));
    assert_eq!(ask(), answer("2"));
    clock.advance(Duration::from_secs(1));
    assert_eq!(ask(), answer("1"));
}

#[test]
fn wasi_gives_no_powers() {
    let fixture = misbehaving_with(Limits::default());
    let policy = fixture.policy("guest");
    let ask = |deed: &str, seed: u32| {
        let mut question = select(candidates(2));
        question.seed = seed;
        policy.ask(&question, &material(&format!(r#"{{"do": "{deed}"}}"#)))
    };
    assert_eq!(ask("clock", 1), answer("1700000000000 +0 +0"), "clocks stand still");
    assert_eq!(ask("random", 1), ask("random", 1), "the same seed, the same numbers");
    assert_ne!(ask("random", 1), ask("random", 2));
    assert_eq!(ask("powers", 1), answer("0 false Some(PermissionDenied) Some(PermissionDenied)"));
}

/// wasmtime-wasi's own waiting would panic on a thread of an asynchronous runtime.
#[test]
fn a_guest_can_print_and_sleep_on_a_runtime_thread() {
    let limits = Limits { time: Duration::from_secs(5), ..Limits::default() };
    let fixture = misbehaving_with(limits);
    let policy = fixture.policy("guest");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let task = runtime.spawn(async move {
        let ask = |settings: &str| policy.ask(&select(candidates(2)), &material(settings));
        (ask(r#"{"do": "print-flood"}"#), ask(r#"{"do": "sleep"}"#))
    });
    let (printed, slept) = runtime.block_on(task).unwrap();
    assert_eq!(printed, first());
    assert!(matches!(slept, Opinion::Fault { .. }), "{slept:?}");
}

#[test]
fn a_slow_policy_answers_from_a_thread_of_its_own() {
    let fixture = misbehaving_with(Limits::default());
    let policy = fixture.policy("guest");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ask = |settings: &str| {
        let (question, material) = (select(candidates(2)), material(settings));
        let policy = Arc::clone(&policy);
        runtime.block_on(async move { policy.ask_anywhere(&question, &material).await })
    };
    assert_eq!(ask("{}"), first());
    assert!(matches!(ask(r#"{"do": "loop"}"#), Opinion::Fault { .. }));
}

#[test]
fn a_flood_of_log_lines_is_cut() {
    for deed in ["log-flood", "print-flood"] {
        let limits = Limits { time: Duration::from_secs(5), ..Limits::default() };
        let lines = Limits::default().log_lines as usize;
        let bytes = Limits::default().log_line_bytes;
        let fixture = misbehaving_with(limits);
        let policy = fixture.policy("guest");
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let settings = material(&format!(r#"{{"do": "{deed}"}}"#));
            assert_eq!(policy.ask(&select(candidates(2)), &settings), first());
        });
        let text = log.text();
        assert!(text.contains("flood"), "{deed}: {text}");
        assert!((1..=lines).contains(&text.lines().count()), "{deed}: {}", text.lines().count());
        assert!(text.lines().all(|line| line.len() < bytes + 200), "{deed}");
        assert!(!text.contains("\u{1b}[31mflood"), "{deed}: no colours of the guest's");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no writer panics").clone()).expect("text")
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Offers the file under the name `guest`; expects it to be refused with a
/// reason that contains each of `reasons`.
fn check_refused(component: &[u8], reasons: &[&str]) {
    check_refused_with(Limits::default(), component, reasons);
}

fn check_refused_with(limits: Limits, component: &[u8], reasons: &[&str]) {
    let fixture = library_of(&[("guest", component)], limits, &TestClock::default());
    assert!(fixture.library.current().policy("guest").is_none());
    let status = fixture.status("guest");
    assert_eq!(status.state, PolicyState::Refused);
    let refusal = status.last_refusal.expect("a refused file has a reason");
    for reason in reasons {
        assert!(refusal.reason.contains(reason), "{reason}: {}", refusal.reason);
    }
    let (instances, memory) = fixture.library.usage();
    let builtin = fixture.library.builtin();
    assert!(instances <= 1 && memory <= 2 << 20, "{instances} instances, {memory} bytes");
    assert!(matches!(builtin.ask(&select(candidates(1)), &material("{}")), Opinion::Select(_)));
}

#[test]
fn files_that_are_no_policies_are_refused() {
    let text = |text: &str| wat::parse_str(text).unwrap();
    let whole = misbehaving();
    check_refused(b"", &["empty"]);
    check_refused(&[0; 4096], &["zeros"]);
    check_refused(b"#!/bin/sh", &["not WebAssembly"]);
    check_refused(&whole[..whole.len() / 2], &["truncated"]);
    check_refused(&whole[..whole.len() - 1], &["truncated"]);
    check_refused(&text("(module)"), &["core module", "wasm-tools component new"]);
    check_refused(&text("(component)"), &["does not export", "failover-policy@0.1.0"]);
    let http = r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance)))"#;
    check_refused(&text(http), &["wasi:http/outgoing-handler@0.2.0", "does not provide"]);
    let host = r#"(component (import "backstay:policy/host@0.1.0" (instance
        (export "shell" (func (param "command" string))))))"#;
    check_refused(&text(host), &["shell"]);
}

#[test]
fn policies_that_fail_their_trial_are_refused() {
    check_refused(&variant("trap-in-init"), &["made-up `select-provider`", "unreachable"]);
    check_refused(&from_text("", "(unreachable)"), &["made-up", "unreachable"]);
    check_refused(&from_text("", "(loop (br 0))"), &["made-up", "time limit"]);
    check_refused(&from_text("(start $begin) (func $begin (unreachable))", ""), &["unreachable"]);
    let grow =
        "(if (i32.eq (i32.const -1) (table.grow $table (ref.null func) (i32.const 10000000)))
        (then (unreachable)))";
    check_refused(&from_text("", grow), &["table limit reached"]);
    check_refused(&from_text("(table 10000000 funcref)", ""), &["table"]);
    check_refused(&from_text("(memory 1)", ""), &["compile"]);
}

/// The same components without their deed are good: it was the deed.
#[test]
fn a_policy_without_opinions_is_a_policy() {
    let component = from_text("", "");
    let fixture = library_of(&[("guest", &component)], Limits::default(), &TestClock::default());
    let policy = fixture.policy("guest");
    assert_eq!(policy.ask(&select(candidates(2)), &material("{}")), Opinion::None);
}

#[test]
fn repeated_faults_quarantine_a_policy_until_it_proves_itself() {
    let clock = TestClock::default();
    let fixture = library_of(&[("guest", misbehaving())], Limits::default(), &clock);
    let policy = fixture.policy("guest");
    let ask = |settings: &str| policy.ask(&select(candidates(2)), &material(settings));
    for _ in 0..5 {
        assert!(matches!(ask(r#"{"do": "panic"}"#), Opinion::Fault { .. }));
    }
    assert!(matches!(fixture.status("guest").state, PolicyState::Quarantined { .. }));
    assert_eq!(ask("{}"), Opinion::None, "the built-in decides");
    clock.advance(Duration::from_secs(30));
    assert_eq!(ask("{}"), first());
    assert_eq!(fixture.status("guest").state, PolicyState::OnProbation);
    for _ in 0..backstay::policy::PROVEN {
        assert_eq!(ask("{}"), first());
    }
    assert_eq!(fixture.status("guest").state, PolicyState::Active);
}

#[test]
fn the_last_good_version_answers_for_one_in_quarantine() {
    let fixture =
        library_of(&[("guest", &variant("good"))], Limits::default(), &TestClock::default());
    std::fs::write(fixture.directory.path().join("guest.wasm"), variant("bad")).unwrap();
    fixture.library.rescan_now();
    let policy = fixture.policy("guest");
    let ask = |settings: &str| policy.ask(&select(candidates(2)), &material(settings));
    assert_eq!(ask(r#"{"do": "label"}"#), answer("bad"));
    for _ in 0..5 {
        assert!(matches!(ask(r#"{"do": "panic"}"#), Opinion::Fault { .. }));
    }
    assert_eq!(ask(r#"{"do": "label"}"#), answer("good"));
}

#[test]
fn a_faulty_policy_disturbs_nobody_else() {
    let fixture = misbehaving_with(Limits::default());
    let policy = fixture.policy("guest");
    let builtin = fixture.library.builtin();
    std::thread::scope(|scope| {
        for deed in ["loop", "memory-bomb", "panic"] {
            let policy = &policy;
            scope.spawn(move || {
                let settings = material(&format!(r#"{{"do": "{deed}"}}"#));
                for _ in 0..20 {
                    assert_ne!(policy.ask(&select(candidates(2)), &settings), first());
                }
            });
        }
        for _ in 0..200 {
            assert_eq!(builtin.ask(&select(candidates(1)), &material("{}")), first());
        }
    });
}

/// Containers often limit the address space, of which a pool takes a lot.
#[test]
fn without_room_for_a_pool_memory_is_mapped_for_each_call() {
    let script = r#"ulimit -v 3000000 && exec "$0" --ignored --exact "$1""#;
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg("policy_faults::in_a_small_address_space")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn in_a_small_address_space() {
    let library = crate::support::policies::builtin_only();
    assert_eq!(library.allocation(), backstay::policy::Allocation::OnDemand);
    let answer = library.builtin().ask(&select(candidates(1)), &material("{}"));
    assert_eq!(answer, first());
}
