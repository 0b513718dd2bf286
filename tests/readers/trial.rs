//! One input after the other, each caught if it fails, made smaller and told
//! of. Must not know what is fed to whom.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use backstay::dialect::Dialect;

use crate::damage::{places, replaced, texts};
use crate::feed::{Depth, excuse, feed};
use crate::random::Random;

/// Bytes that are fed at most to make a failing input smaller.
const MOST_FED: usize = 1 << 20;

/// What is shown of an input.
const SHOWN: usize = 2048;

/// Different failures of one test.
const MOST_FAILURES: usize = 12;

thread_local! {
    /// What the last panic of an input said; `None` while no input is tried.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics of inputs are kept for the report; others are told as usual.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let taken = SAID.with_borrow_mut(|said| match said {
                Some(said) => {
                    *said = panic.to_string();
                    true
                }
                None => false,
            });
            if !taken {
                usual(panic);
            }
        }));
    });
}

/// The inputs of one test.
#[derive(Debug)]
pub struct Trials {
    dialect: Dialect,
    depth: Depth,
    /// By what is the same in two failures of one kind.
    failures: BTreeMap<String, String>,
}

impl Trials {
    pub fn new(dialect: Dialect, depth: Depth) -> Self {
        listen();
        Self { dialect, depth, failures: BTreeMap::new() }
    }

    /// Feeds one input. `round` is for the report, and for what is left to
    /// chance with this input.
    pub fn one(&mut self, input: &[u8], round: u64) {
        let Some(said) = self.fails(input, round) else { return };
        let kind = kind(&said);
        if self.failures.len() < MOST_FAILURES && !self.failures.contains_key(&kind) {
            let report = self.report(input, round, &said);
            self.failures.insert(kind, report);
            excuse(&said);
        }
    }

    /// Fails the test if an input did.
    pub fn end(self) {
        let reports: Vec<String> = self.failures.into_values().collect();
        assert!(reports.is_empty(), "{} failures:\n{}", reports.len(), reports.join("\n"));
    }

    /// What is said of this input, if it fails.
    fn fails(&self, input: &[u8], round: u64) -> Option<String> {
        SAID.set(Some(String::new()));
        let mut random = Random::new(round);
        let fed = catch_unwind(AssertUnwindSafe(|| {
            feed(self.dialect, input, self.depth, &mut random);
        }));
        let said = SAID.take();
        fed.is_err().then(|| said.unwrap_or_default())
    }

    fn report(&self, input: &[u8], round: u64, said: &str) -> String {
        let small = self.smaller(input.to_vec(), round, &kind(said));
        let said = self.fails(&small, round).unwrap_or_else(|| said.to_owned());
        let name = format!("backstay-input-{}-{round}-{}", std::process::id(), small.len());
        let path = std::env::temp_dir().join(name);
        let kept = std::fs::write(&path, &small).is_ok();
        let place = if kept { path.display().to_string() } else { "nowhere".to_owned() };
        let shown = String::from_utf8_lossy(&small[..small.len().min(SHOWN)]);
        format!(
            "{said}\n  {} round {round}, {} bytes, kept in {place}:\n{shown}\n",
            self.dialect.label(),
            small.len()
        )
    }

    /// An input that fails in the same way, with as little in it as is found
    /// without much searching.
    fn smaller(&self, mut input: Vec<u8>, round: u64, kind_of_failure: &str) -> Vec<u8> {
        let (mut fed, mut skipped) = (0, 0);
        while fed < MOST_FED {
            let Some(span) = pieces(&input).into_iter().nth(skipped) else { break };
            let candidate = replaced(&input, span, b"");
            fed += candidate.len();
            let said = self.fails(&candidate, round);
            if said.is_some_and(|said| kind(&said) == kind_of_failure) {
                input = candidate;
            } else {
                skipped += 1;
            }
        }
        input
    }
}

/// What was said, without its numbers.
fn kind(said: &str) -> String {
    let (place, message) = said.split_once('\n').unwrap_or((said, ""));
    let message: String = message.chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
    format!("{place} {message}")
}

/// The lines, members and elements of an input, the largest first.
fn pieces(input: &[u8]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        pieces.push(at..at + line.len());
        at += line.len();
    }
    for text in texts(input) {
        pieces.extend(places(input, &text).iter().map(|place| place.item.removal()));
    }
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    pieces
}
