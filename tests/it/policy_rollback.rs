//! The version before, and the way back to it: at once, whatever happens to the
//! file meanwhile; and pins, which let nothing else decide under a name.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay::failover::consult::{Opinion, Selection};
use backstay::policy::{
    DEFAULT, Digest, Library, LibraryConfig, Limits, Pins, Policy, PolicyState, PolicyStatus,
    RollbackFault,
};

use crate::support::guests::variant;
use crate::support::policies::{TestClock, candidates, config, material, select};
use crate::support::slow::SlowCompiler;

/// Beyond this nothing that a test waits for will come any more.
const PATIENCE: Duration = Duration::from_secs(30);

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
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what} did not come");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A library over a directory of its own, with versions of one guest.
struct Shop {
    library: Library,
    directory: tempfile::TempDir,
}

fn configured(directory: &Path) -> LibraryConfig {
    // What is tested is which version answers, not how fast.
    let limits = Limits { time: Duration::from_secs(2), ..Limits::default() };
    LibraryConfig { limits, ..config(Some(directory), &TestClock::default()) }
}

impl Shop {
    fn with(versions: &[&str]) -> Self {
        Self::pinned("guest", versions, Pins::new())
    }

    /// These versions of a policy, one after the other.
    fn pinned(name: &str, versions: &[&str], pins: Pins) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut versions = versions.iter();
        if let Some(first) = versions.next() {
            fs::write(file(directory.path(), name), variant(first)).unwrap();
        }
        let library = Library::open_pinned(configured(directory.path()), pins).unwrap();
        let shop = Self { library, directory };
        versions.for_each(|version| shop.put(name, version));
        shop
    }

    fn put(&self, name: &str, version: &str) {
        fs::write(file(self.directory.path(), name), variant(version)).unwrap();
        self.library.rescan_now();
    }

    fn policy(&self) -> Arc<Policy> {
        self.library.current().policy("guest").expect("the guest is loaded")
    }

    fn serves(&self, name: &str) -> Option<String> {
        let policy = self.library.current().policy(name)?;
        (!policy.is_built_in()).then(|| label(&policy))
    }

    fn status(&self, name: &str) -> PolicyStatus {
        let all = self.library.status().into_iter();
        all.clone().find(|status| status.name == name).unwrap_or_else(|| panic!("{all:?}"))
    }
}

fn file(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.wasm"))
}

fn digest(version: &str) -> Digest {
    Digest::of(&variant(version))
}

fn pin(name: &str, version: &str) -> Pins {
    BTreeMap::from([(name.to_owned(), digest(version))])
}

#[test]
fn back_to_the_version_before_and_forward_again() {
    let shop = Shop::with(&["one", "two"]);
    let held = shop.policy();
    let rolled = shop.library.rollback("guest").unwrap();
    assert_eq!((rolled.from, rolled.to), (digest("two"), digest("one")));
    assert_eq!(shop.serves("guest").as_deref(), Some("one"));
    assert_eq!(label(&held), "two", "a call under way keeps its version");
    let status = shop.status("guest");
    assert_eq!(status.digest, Some(digest("one")));
    assert_eq!(status.previous, Some(digest("two")));
    assert_eq!(status.rolled_back_from, Some(digest("two")));

    // The file still holds what was left, also when it is written once more.
    shop.library.rescan_now();
    shop.put("guest", "two");
    assert_eq!(shop.serves("guest").as_deref(), Some("one"));

    let forward = shop.library.rollback("guest").unwrap();
    assert_eq!(forward.to, digest("two"));
    assert_eq!(shop.serves("guest").as_deref(), Some("two"));
    assert_eq!(shop.status("guest").rolled_back_from, None, "this is what the file holds");
    assert_eq!(shop.status("guest").previous, Some(digest("one")));
}

#[test]
fn another_content_ends_a_rollback() {
    let shop = Shop::with(&["one", "two"]);
    shop.library.rollback("guest").unwrap();
    fs::write(file(shop.directory.path(), "guest"), b"").unwrap();
    shop.library.rescan_now();
    assert!(shop.status("guest").last_refusal.unwrap().reason.contains("empty"));
    shop.put("guest", "two");
    assert_eq!(shop.serves("guest").as_deref(), Some("one"), "it was rolled back from");
    assert_eq!(shop.status("guest").last_refusal, None);

    shop.put("guest", "three");
    assert_eq!(shop.serves("guest").as_deref(), Some("three"));
    let status = shop.status("guest");
    assert_eq!((status.previous, status.rolled_back_from), (Some(digest("one")), None));
    shop.put("guest", "two");
    assert_eq!(shop.serves("guest").as_deref(), Some("two"), "a new beginning");
}

#[test]
fn one_version_before_is_kept_and_no_more() {
    let shop = Shop::with(&["one"]);
    let one = Arc::downgrade(&shop.policy());
    shop.put("guest", "two");
    let two = Arc::downgrade(&shop.policy());
    for _ in 0..=backstay::policy::PROVEN {
        assert_eq!(label(&shop.policy()), "two");
    }
    assert!(one.upgrade().is_some(), "also behind one that has proved itself");
    shop.put("guest", "three");
    assert!(one.upgrade().is_none() && two.upgrade().is_some());
    for _ in 0..4 {
        shop.library.rollback("guest").unwrap();
    }
    assert_eq!(shop.serves("guest").as_deref(), Some("three"));
    fs::remove_file(file(shop.directory.path(), "guest")).unwrap();
    shop.library.rescan_now();
    shop.library.keep_only(|_| false);
    assert!(two.upgrade().is_none(), "given up with its name");
}

#[test]
fn there_may_be_nothing_to_go_back_to() {
    let shop = Shop::with(&["one"]);
    let fault = shop.library.rollback("guest").unwrap_err();
    assert!(matches!(fault, RollbackFault::NothingBefore { .. }), "{fault}");
    let fault = shop.library.rollback("guset").unwrap_err();
    assert!(matches!(fault, RollbackFault::NoSuchPolicy { .. }), "{fault}");
    assert!(fault.to_string().contains("default, guest"), "{fault}");
    let fault = shop.library.rollback(DEFAULT).unwrap_err();
    assert!(matches!(fault, RollbackFault::NothingBefore { .. }), "{fault}");
    assert_eq!(shop.serves("guest").as_deref(), Some("one"));
}

#[test]
fn the_built_in_is_what_was_before_default() {
    let shop = Shop::pinned(DEFAULT, &["mine"], Pins::new());
    for _ in 0..2 {
        assert!(shop.library.rollback(DEFAULT).unwrap().to_built_in);
        assert_eq!(shop.serves(DEFAULT), None);
        assert_eq!(shop.status(DEFAULT).state, PolicyState::BuiltIn);
        shop.library.rescan_now();
        assert_eq!(shop.serves(DEFAULT), None);
        assert!(!shop.library.rollback(DEFAULT).unwrap().to_built_in);
        assert_eq!(shop.serves(DEFAULT).as_deref(), Some("mine"));
    }
    shop.library.rollback(DEFAULT).unwrap();
    shop.put(DEFAULT, "yours");
    assert_eq!(shop.serves(DEFAULT).as_deref(), Some("yours"));
    assert!(shop.library.rollback(DEFAULT).unwrap().to_built_in);
}

/// Whatever of them was seen, the way back leads to what decided before.
#[test]
fn two_quick_changes_then_a_rollback() {
    let shop = Shop::with(&["one"]);
    let path = file(shop.directory.path(), "guest");
    fs::write(&path, variant("two")).unwrap();
    fs::write(&path, variant("three")).unwrap();
    shop.library.rescan_now();
    eventually("three", || shop.serves("guest").as_deref() == Some("three"));
    let before = shop.status("guest").previous;
    let rolled = shop.library.rollback("guest").unwrap();
    assert_eq!((rolled.from, Some(rolled.to)), (digest("three"), before));
    shop.library.rescan_now();
    let served = shop.serves("guest").unwrap();
    assert!(["one", "two"].contains(&served.as_str()), "{served}");
    assert_eq!(shop.status("guest").rolled_back_from, Some(digest("three")));
}

#[test]
fn a_deleted_file_does_not_bar_the_way_back() {
    let shop = Shop::with(&["one", "two"]);
    fs::remove_file(file(shop.directory.path(), "guest")).unwrap();
    shop.library.rescan_now();
    assert!(shop.status("guest").deleted);
    shop.library.rollback("guest").unwrap();
    assert_eq!(shop.serves("guest").as_deref(), Some("one"));
    shop.put("guest", "two");
    assert_eq!(shop.serves("guest").as_deref(), Some("one"), "the same content comes back");
    assert!(!shop.status("guest").deleted);
    shop.put("guest", "three");
    assert_eq!(shop.serves("guest").as_deref(), Some("three"));
}

fn quarantine(policy: &Policy) {
    for _ in 0..5 {
        let asked = policy.ask(&select(candidates(2)), &material(r#"{"do": "panic"}"#));
        assert!(matches!(asked, Opinion::Fault { .. }), "{asked:?}");
    }
}

#[test]
fn a_policy_in_quarantine_is_rolled_back() {
    let shop = Shop::with(&["good", "bad"]);
    let bad = shop.policy();
    quarantine(&bad);
    assert!(matches!(shop.status("guest").state, PolicyState::Quarantined { .. }));
    shop.library.rollback("guest").unwrap();
    assert_eq!(shop.status("guest").state, PolicyState::Active);
    assert_eq!(shop.serves("guest").as_deref(), Some("good"));
    // A call that still holds the bad one is left to the built-in.
    let asked = bad.ask(&select(candidates(2)), &material("{}"));
    assert_eq!((asked, bad.answering().is_some()), (Opinion::None, false));
    // And if the good one fails too, the bad one does not come back.
    quarantine(&shop.policy());
    let asked = shop.policy().ask(&select(candidates(2)), &material("{}"));
    assert_eq!((asked, shop.policy().answering().is_some()), (Opinion::None, false));
    // A new version keeps the last good one, not one in quarantine, if there is one.
    shop.put("guest", "new");
    assert_eq!(shop.serves("guest").as_deref(), Some("new"));
    assert!(shop.status("guest").previous.is_some());
}

#[test]
fn a_long_compile_delays_neither_a_rollback_nor_other_policies() {
    let slow = SlowCompiler::new();
    let directory = tempfile::tempdir().unwrap();
    fs::write(file(directory.path(), "guest"), variant("one")).unwrap();
    let config = LibraryConfig { compiler: slow.compiler(), ..configured(directory.path()) };
    let library = Library::open(config).unwrap();
    let shop = Shop { library, directory };
    shop.put("guest", "two");
    assert_eq!(shop.serves("guest").as_deref(), Some("two"));

    slow.hold_next();
    fs::write(file(shop.directory.path(), "guest"), variant("three")).unwrap();
    slow.wait_until_held();
    shop.library.rollback("guest").unwrap();
    assert_eq!(shop.serves("guest").as_deref(), Some("one"));
    fs::write(file(shop.directory.path(), "other"), variant("other")).unwrap();
    eventually("the other", || shop.serves("other").as_deref() == Some("other"));
    assert_eq!(shop.serves("guest").as_deref(), Some("one"), "three is still being compiled");

    slow.let_go();
    eventually("three", || shop.serves("guest").as_deref() == Some("three"));
    let status = shop.status("guest");
    assert_eq!((status.previous, status.rolled_back_from), (Some(digest("one")), None));
}

/// What changes while it is being compiled is looked at again.
#[test]
fn a_change_during_a_compile_is_not_missed() {
    let slow = SlowCompiler::new();
    let directory = tempfile::tempdir().unwrap();
    let config = LibraryConfig { compiler: slow.compiler(), ..configured(directory.path()) };
    let library = Library::open(config).unwrap();
    let shop = Shop { library, directory };
    slow.hold_next();
    fs::write(file(shop.directory.path(), "guest"), variant("one")).unwrap();
    slow.wait_until_held();
    fs::write(file(shop.directory.path(), "guest"), variant("two")).unwrap();
    slow.let_go();
    eventually("two", || shop.serves("guest").as_deref() == Some("two"));
    assert_eq!(shop.status("guest").previous, Some(digest("one")));
}

#[test]
fn what_is_being_compiled_is_shown_as_such() {
    let slow = SlowCompiler::new();
    let directory = tempfile::tempdir().unwrap();
    slow.hold_next();
    fs::write(file(directory.path(), "guest"), variant("one")).unwrap();
    let config = LibraryConfig { compiler: slow.compiler(), ..configured(directory.path()) };
    let library = Library::begin(config, Pins::new()).unwrap();
    let shop = Shop { library, directory };
    slow.wait_until_held();
    let status = shop.status("guest");
    let compiling = status.compiling.map(|it| it.digest);
    assert_eq!((status.state, compiling), (PolicyState::Compiling, Some(digest("one"))));
    assert_eq!(shop.library.loading(), Some(vec!["guest".to_owned()]));
    slow.let_go();
    shop.library.wait_until_loaded();
    let status = shop.status("guest");
    assert_eq!((status.state, status.compiling), (PolicyState::Active, None));
    assert_eq!(shop.library.loading(), None);
}

/// The file stays as it is, and so does the refusal, until the machine is well.
#[test]
fn what_a_broken_compiler_refused_is_tried_again() {
    let (slow, clock) = (SlowCompiler::new(), TestClock::default());
    let directory = tempfile::tempdir().unwrap();
    fs::write(file(directory.path(), "guest"), variant("one")).unwrap();
    let now = clock.clone();
    let config = LibraryConfig {
        compiler: slow.compiler(),
        clock: Arc::new(move || now.now()),
        ..configured(directory.path())
    };
    slow.break_down();
    let library = Library::open(config).unwrap();
    let shop = Shop { library, directory };
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let refusal = shop.status("guest").last_refusal.unwrap();
        assert!(refusal.reason.contains("the compiler failed"), "{}", refusal.reason);
        let retry = refusal.retry.unwrap();
        assert_eq!(retry.at, refusal.at + retry.pause);
        pauses.push(retry.pause.as_secs());
        shop.library.rescan_now();
        assert_eq!(shop.status("guest").last_refusal.unwrap().at, refusal.at, "too early");
        clock.advance(retry.pause);
        shop.library.rescan_now();
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    slow.mend();
    clock.advance(Duration::from_mins(10));
    shop.library.rescan_now();
    assert_eq!(shop.serves("guest").as_deref(), Some("one"));
    assert_eq!(shop.status("guest").last_refusal, None);
}

#[test]
fn what_is_not_pinned_is_refused_at_the_start() {
    let shop = Shop::pinned("guest", &["one"], pin("guest", "two"));
    assert_eq!(shop.serves("guest"), None);
    let status = shop.status("guest");
    assert_eq!((status.state, status.pin), (PolicyState::Refused, Some(digest("two"))));
    let refusal = status.last_refusal.unwrap();
    assert!(refusal.by_pin);
    for part in [format!("sha256:{}", digest("two")), format!("\"sha256:{}\"", digest("one"))] {
        assert!(refusal.reason.contains(&part), "{part}: {}", refusal.reason);
    }
    shop.put("guest", "two");
    assert_eq!(shop.serves("guest").as_deref(), Some("two"));
    assert_eq!(shop.status("guest").last_refusal, None);
    shop.put("guest", "three");
    assert_eq!(shop.serves("guest").as_deref(), Some("two"));
    assert!(shop.status("guest").last_refusal.unwrap().by_pin);
}

#[test]
fn a_pin_without_a_file_is_shown() {
    let shop = Shop::pinned("guest", &[], pin("guest", "two"));
    let status = shop.status("guest");
    assert_eq!((status.state, status.digest), (PolicyState::Refused, None));
}

#[test]
fn pins_follow_the_configuration() {
    let shop = Shop::with(&["one", "two"]);
    shop.library.pin(pin("guest", "one"));
    assert_eq!(shop.serves("guest").as_deref(), Some("one"), "at once, from what is compiled");
    eventually("the refusal", || shop.status("guest").last_refusal.is_some_and(|r| r.by_pin));
    let fault = shop.library.rollback("guest").unwrap_err();
    assert!(matches!(fault, RollbackFault::Pinned { .. }), "{fault}");

    shop.library.pin(pin("guest", "three"));
    assert_eq!(shop.serves("guest"), None, "neither version is it: the built-in decides");
    shop.library.rescan_now();
    assert!(shop.status("guest").last_refusal.is_some_and(|refusal| refusal.by_pin));

    shop.library.pin(Pins::new());
    eventually("the file's content", || shop.serves("guest").as_deref() == Some("two"));
    assert_eq!(shop.status("guest").last_refusal, None);
}

#[test]
fn a_pin_brings_back_what_was_rolled_back_from() {
    let shop = Shop::with(&["one", "two"]);
    shop.library.rollback("guest").unwrap();
    shop.library.pin(pin("guest", "two"));
    assert_eq!(shop.serves("guest").as_deref(), Some("two"));
    let shop = Shop::pinned(DEFAULT, &["mine"], Pins::new());
    shop.library.rollback(DEFAULT).unwrap();
    shop.library.pin(pin(DEFAULT, "mine"));
    eventually("mine", || shop.serves(DEFAULT).as_deref() == Some("mine"));
}

#[test]
fn default_may_be_pinned() {
    let shop = Shop::pinned(DEFAULT, &["mine"], pin(DEFAULT, "yours"));
    assert_eq!(shop.serves(DEFAULT), None);
    assert_eq!(shop.status(DEFAULT).state, PolicyState::BuiltIn);
    assert!(shop.status(DEFAULT).last_refusal.is_some_and(|refusal| refusal.by_pin));
    shop.put(DEFAULT, "yours");
    assert_eq!(shop.serves(DEFAULT).as_deref(), Some("yours"));
    shop.library.pin(pin(DEFAULT, "mine"));
    assert_eq!(shop.serves(DEFAULT), None);
    assert!(shop.library.current().policy(DEFAULT).is_some_and(|policy| policy.is_built_in()));
}
