//! Hot reload: what happens to the directory of policies, and what is current.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use backstay::failover::call::CandidateId;
use backstay::failover::consult::{Opinion, Selection};
use backstay::policy::{Compiler, Library, LibraryConfig, Limits, Policy, PolicyState};

use crate::support::guests::{picking, variant};
use crate::support::policies::{
    Fixture, TestClock, candidates, config, library_of, material, select,
};

/// How long a new file may take to become active (issue: one second), with
/// some room for a loaded machine and an unoptimised compiler.
const SOON: Duration = Duration::from_secs(5);

fn label(policy: &Policy) -> String {
    match policy.ask(&select(candidates(2)), &material(r#"{"do": "label"}"#)) {
        Opinion::Select(Selection::Answer(label)) => label,
        other @ (Opinion::None
        | Opinion::Select(_)
        | Opinion::Classify(_)
        | Opinion::Validate(_)
        | Opinion::Fault { .. }
        | Opinion::Unasked { .. }) => panic!("{other:?}"),
    }
}

/// Waits until `holds`, looking often; the library is left to notice by itself.
#[expect(clippy::disallowed_methods, reason = "the file system is real, and so is its time")]
fn eventually(what: &str, holds: impl Fn() -> bool) -> Duration {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < SOON, "{what} did not come");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    begin.elapsed()
}

fn serves(library: &Library, name: &str, expected: &str) -> bool {
    library.current().policy(name).is_some_and(|policy| label(&policy) == expected)
}

/// What is tested here is which version answers, not how fast: on a loaded
/// machine the usual limit would be reached by chance.
fn unhurried() -> Limits {
    Limits { time: Duration::from_secs(2), ..Limits::default() }
}

fn watching(directory: &Path) -> LibraryConfig {
    LibraryConfig { limits: unhurried(), ..config(Some(directory), &TestClock::default()) }
}

fn empty() -> Fixture {
    library_of(&[], unhurried(), &TestClock::default())
}

fn with(version: &str) -> Fixture {
    library_of(&[("guest", &variant(version))], unhurried(), &TestClock::default())
}

fn file(fixture: &Fixture) -> std::path::PathBuf {
    fixture.directory.path().join("guest.wasm")
}

#[test]
fn a_policy_appears_and_changes() {
    let fixture = empty();
    assert!(fixture.library.current().policy("guest").is_none());
    fs::write(file(&fixture), variant("one")).unwrap();
    eventually("one", || serves(&fixture.library, "guest", "one"));
    fs::write(file(&fixture), variant("two")).unwrap();
    eventually("two", || serves(&fixture.library, "guest", "two"));
    assert_eq!(fixture.library.current().generation(), 2);
}

#[test]
fn a_file_that_is_renamed_over_counts_as_changed() {
    let fixture = with("one");
    let beside = fixture.directory.path().join(".guest.wasm.new");
    fs::write(&beside, variant("two")).unwrap();
    fs::rename(&beside, file(&fixture)).unwrap();
    eventually("two", || serves(&fixture.library, "guest", "two"));
    assert_eq!(fixture.library.status().len(), 2, "hidden files are nobody's");
}

#[test]
fn a_torn_file_is_never_active() {
    let fixture = with("one");
    let whole = variant("two");
    fs::write(file(&fixture), &whole[..whole.len() / 3]).unwrap();
    eventually("the refusal", || fixture.status("guest").last_refusal.is_some());
    let status = fixture.status("guest");
    assert!(status.last_refusal.unwrap().reason.contains("truncated"));
    assert_eq!(status.state, PolicyState::Active);
    assert!(serves(&fixture.library, "guest", "one"));

    fs::write(file(&fixture), &whole).unwrap();
    eventually("two", || serves(&fixture.library, "guest", "two"));
    assert_eq!(fixture.status("guest").last_refusal, None);
}

/// The file grows a little at a time, never resting for as long as it takes to settle.
#[test]
fn a_file_that_is_being_written_is_not_read() {
    let fixture = empty();
    let whole = variant("one");
    let refused = AtomicU32::new(0);
    {
        let mut out = fs::File::create(file(&fixture)).unwrap();
        for piece in whole.chunks(whole.len() / 20) {
            std::io::Write::write_all(&mut out, piece).unwrap();
            std::thread::park_timeout(Duration::from_millis(20));
            let seen = fixture.library.status().iter().any(|s| s.last_refusal.is_some());
            refused.fetch_add(u32::from(seen), Ordering::Relaxed);
        }
    }
    eventually("one", || serves(&fixture.library, "guest", "one"));
    assert_eq!(refused.into_inner(), 0);
}

/// Kubernetes: `guest.wasm` → `..data/guest.wasm`, and `..data` → a directory
/// that is swapped. No event names the file.
#[test]
fn a_swapped_link_in_the_manner_of_a_config_map_counts_as_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for version in ["one", "two"] {
        fs::create_dir(path(&format!("..{version}"))).unwrap();
        fs::write(path(&format!("..{version}/guest.wasm")), variant(version)).unwrap();
    }
    symlink("..one", path("..data")).unwrap();
    symlink("..data/guest.wasm", path("guest.wasm")).unwrap();
    let library = Library::open(watching(directory.path())).unwrap();
    assert!(serves(&library, "guest", "one"));

    symlink("..two", path("..data_tmp")).unwrap();
    fs::rename(path("..data_tmp"), path("..data")).unwrap();
    eventually("two", || serves(&library, "guest", "two"));
}

#[test]
fn a_deleted_file_leaves_its_last_version_until_nobody_names_it() {
    let fixture = with("one");
    fs::remove_file(file(&fixture)).unwrap();
    eventually("the deletion", || fixture.status("guest").deleted);
    assert!(serves(&fixture.library, "guest", "one"));
    fixture.library.keep_only(|name| name == "guest");
    assert!(serves(&fixture.library, "guest", "one"));
    fixture.library.keep_only(|_| false);
    assert!(fixture.library.current().policy("guest").is_none());
    assert_eq!(fixture.library.status().len(), 1);

    fs::write(file(&fixture), variant("one")).unwrap();
    eventually("its return", || serves(&fixture.library, "guest", "one"));
}

#[test]
fn a_directory_may_be_made_later() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("policies");
    let library = Library::open(watching(&directory)).unwrap();
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("guest.wasm"), variant("one")).unwrap();
    eventually("one", || serves(&library, "guest", "one"));
}

#[test]
fn default_wasm_overrules_the_built_in_but_does_not_replace_it() {
    let fixture = library_of(&[("default", &variant("mine"))], unhurried(), &TestClock::default());
    assert!(serves(&fixture.library, "default", "mine"));
    assert_ne!(fixture.library.builtin().digest(), fixture.policy("default").digest());
    fs::remove_file(fixture.directory.path().join("default.wasm")).unwrap();
    fixture.library.rescan_now();
    fixture.library.keep_only(|_| false);
    assert_eq!(fixture.policy("default").digest(), fixture.library.builtin().digest());
}

#[test]
fn a_broken_default_leaves_the_built_in() {
    let fixture = library_of(&[("default", b"")], unhurried(), &TestClock::default());
    assert_eq!(fixture.policy("default").digest(), fixture.library.builtin().digest());
    let status = fixture.status("default");
    assert_eq!(status.state, PolicyState::BuiltIn);
    assert!(status.last_refusal.unwrap().reason.contains("empty"));
}

#[test]
fn names_are_plain() {
    let component = variant("one");
    let long = "x".repeat(65);
    let fixture = library_of(
        &[("with space", &component), (&long, &component), ("a.b-c_1", &component)],
        unhurried(),
        &TestClock::default(),
    );
    assert!(fixture.status("with space").last_refusal.unwrap().reason.contains("name"));
    assert!(fixture.status(&long).last_refusal.is_some());
    assert!(serves(&fixture.library, "a.b-c_1", "one"));
}

/// Two hundred versions, one after the other, while calls keep asking: each
/// call is answered by one version throughout, and none is left behind.
#[test]
fn versions_are_swapped_under_load() {
    const SWAPS: u32 = 200;
    let fixture = library_of(&[("guest", &picking(0))], unhurried(), &TestClock::default());
    let stop = AtomicBool::new(false);
    let answers = AtomicU32::new(0);
    let first = Arc::downgrade(&fixture.policy("guest"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let policy = fixture.policy("guest");
                let before = picked(&policy);
                std::thread::yield_now();
                assert_eq!(picked(&policy), before);
                answers.fetch_add(1, Ordering::Relaxed);
            }
        });
        for number in 1..=SWAPS {
            fs::write(file(&fixture), picking(number)).unwrap();
            fixture.library.rescan_now();
            assert_eq!(picked(&fixture.policy("guest")), CandidateId(number));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(answers.into_inner() > SWAPS);
    assert!(first.upgrade().is_none(), "the first version is gone with its last call");
    let policy = fixture.policy("guest");
    assert_eq!(policy.fault_record(), (0, None));
    drop(policy);
    let (instances, _) = fixture.library.usage();
    assert!(instances <= 1, "{instances} instances are left");
}

fn picked(policy: &Policy) -> CandidateId {
    match policy.ask(&select(candidates(2)), &material("{}")) {
        Opinion::Select(Selection::Launch(plan)) => plan[0].candidate,
        other @ (Opinion::None
        | Opinion::Select(_)
        | Opinion::Classify(_)
        | Opinion::Validate(_)
        | Opinion::Fault { .. }
        | Opinion::Unasked { .. }) => panic!("{other:?}"),
    }
}

fn with_child(cache: &Path, policies: &Path) -> Library {
    let config = LibraryConfig {
        compiler: Compiler::Child(env!("CARGO_BIN_EXE_backstay").into()),
        cache: Some(cache.to_owned()),
        ..watching(policies)
    };
    Library::open(config).expect("the built-in loads")
}

#[test]
fn a_child_process_compiles_and_the_result_is_kept() {
    let policies = tempfile::tempdir().unwrap();
    let parent = tempfile::tempdir().unwrap();
    let cache = parent.path().join("cache");
    fs::write(policies.path().join("guest.wasm"), variant("one")).unwrap();
    assert!(serves(&with_child(&cache, policies.path()), "guest", "one"));
    let kept: Vec<_> = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);

    // A second run is served from there, also without a compiler.
    let config = LibraryConfig {
        compiler: Compiler::Child("/nonexistent".into()),
        cache: Some(cache.clone()),
        ..watching(policies.path())
    };
    assert!(serves(&Library::open(config).unwrap(), "guest", "one"));

    // A damaged file there is not run, but made anew.
    let mut code = fs::read(&kept[0]).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(&kept[0], &code).unwrap();
    assert!(serves(&with_child(&cache, policies.path()), "guest", "one"));
    assert_ne!(fs::read(&kept[0]).unwrap(), code);

    // Nor is another policy's in its place, whole as it is.
    fs::write(policies.path().join("other.wasm"), variant("two")).unwrap();
    assert!(serves(&with_child(&cache, policies.path()), "other", "two"));
    let files = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
    let other = files.into_iter().find(|file| *file != kept[0]).unwrap();
    fs::copy(other, &kept[0]).unwrap();
    assert!(serves(&with_child(&cache, policies.path()), "guest", "one"));
}

#[test]
fn what_the_child_says_reaches_the_status() {
    let policies = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let mut broken = variant("one");
    let middle = broken.len() / 2;
    broken[middle..middle + 64].fill(0xff);
    fs::write(policies.path().join("guest.wasm"), broken).unwrap();
    let library = with_child(cache.path(), policies.path());
    let status = library.status().into_iter().find(|status| status.name == "guest").unwrap();
    let reason = status.last_refusal.unwrap().reason;
    assert!(reason.contains("does not compile"), "{reason}");
}

/// The cache holds code that is run: a directory others can write to is not used.
#[test]
fn a_directory_that_others_can_enter_is_no_cache() {
    use std::os::unix::fs::PermissionsExt;
    let policies = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(policies.path().join("guest.wasm"), variant("one")).unwrap();
    assert!(serves(&with_child(cache.path(), policies.path()), "guest", "one"));
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
}
