//! The account of the day: every call by phase, and what follows from it. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::judge::Complaint;

/// Complaints that are kept word for word; the others are only counted.
const MOST_QUOTED: usize = 20;
/// The last calls, of which the providers' present shares are taken.
const RECENT: usize = 60;

/// How an answer was asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Whole,
    Streamed,
}

/// Where a call went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// To the gateway.
    Gateway,
    /// To alpha itself, as a client without a gateway and without retries does.
    Direct,
}

/// One call, over.
#[derive(Clone, Debug)]
pub struct Call {
    /// The phase in which it began.
    pub phase: usize,
    pub kind: Kind,
    pub way: Way,
    pub took: Duration,
    pub complaint: Option<Complaint>,
    pub stamp: Stamp,
}

/// What the gateway said about a call.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Stamp {
    pub trace: String,
    /// The provider that began the answer.
    pub provider: String,
    pub attempts: u32,
    /// Name and digest.
    pub policy: String,
    /// Another provider finished the answer.
    pub continued: bool,
}

impl Stamp {
    /// Whether the first attempt failed, at once or in the middle.
    pub const fn rescued(&self) -> bool {
        self.attempts > 1 || self.continued
    }
}

/// The calls of one phase.
#[derive(Clone, Default, Debug)]
pub struct Page {
    pub calls: u64,
    pub streamed: u64,
    pub failed: u64,
    pub rescued: u64,
    pub continued: u64,
    pub control: Control,
    /// By the provider that began the answer.
    pub providers: BTreeMap<String, u64>,
    /// By the policy that decided: name and digest.
    pub policies: BTreeMap<String, u64>,
    took: Vec<(Kind, Duration)>,
}

/// The calls sent to alpha directly, for comparison.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Control {
    pub calls: u64,
    pub failed: u64,
}

/// What the gateway added to the time of a call, in milliseconds. Can be below
/// zero: the direct call has its own scatter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Added {
    pub p50: f64,
    pub p95: f64,
}

/// See the module.
#[derive(Debug)]
pub struct Book {
    pages: Vec<Page>,
    /// Direct calls that went well.
    direct: Vec<(Kind, Duration)>,
    quoted: Vec<String>,
    /// The providers of the last calls.
    recent: VecDeque<String>,
}

impl Book {
    pub fn new(phases: usize) -> Self {
        Self {
            pages: vec![Page::default(); phases],
            direct: Vec::new(),
            quoted: Vec::new(),
            recent: VecDeque::with_capacity(RECENT),
        }
    }

    pub fn add(&mut self, call: Call) {
        let Some(page) = self.pages.get_mut(call.phase) else { return };
        match call.way {
            Way::Direct => {
                page.control.calls += 1;
                page.control.failed += u64::from(call.complaint.is_some());
                if call.complaint.is_none() {
                    self.direct.push((call.kind, call.took));
                }
            }
            Way::Gateway => {
                if let (Some(complaint), true) = (&call.complaint, self.quoted.len() < MOST_QUOTED)
                {
                    let trace = &call.stamp.trace;
                    self.quoted.push(format!("{complaint} (trace {trace})"));
                }
                if self.recent.len() >= RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(call.stamp.provider.clone());
                page.add(call);
            }
        }
    }

    /// The share of the last calls that this provider answered, in percent.
    pub fn recent_share(&self, provider: &str) -> u64 {
        let served = self.recent.iter().filter(|name| *name == provider).count();
        (served as u64 * 100).checked_div(self.recent.len() as u64).unwrap_or(0)
    }

    pub fn page(&self, phase: usize) -> &Page {
        &self.pages[phase]
    }

    /// The first complaints of clients.
    pub fn quoted(&self) -> &[String] {
        &self.quoted
    }

    /// All phases together.
    pub fn total(&self) -> Page {
        let mut total = Page::default();
        for page in &self.pages {
            total.calls += page.calls;
            total.streamed += page.streamed;
            total.failed += page.failed;
            total.rescued += page.rescued;
            total.continued += page.continued;
            total.control.calls += page.control.calls;
            total.control.failed += page.control.failed;
            add_up(&mut total.providers, &page.providers);
            add_up(&mut total.policies, &page.policies);
            total.took.extend(&page.took);
        }
        total
    }

    /// How many of all calls would have failed at alpha: phase by phase, in the
    /// same share as those that were sent there.
    pub fn would_have_failed(&self) -> u64 {
        self.pages.iter().map(Page::would_have_failed).sum()
    }

    /// The median of a direct call that went well.
    pub fn direct_median(&self, kind: Kind) -> Option<Duration> {
        let mut took: Vec<_> =
            self.direct.iter().filter(|(k, _)| *k == kind).map(|(_, took)| *took).collect();
        took.sort_unstable();
        percentile(&took, 50)
    }

    /// What the gateway added to the calls of a page, each compared with the
    /// median of direct calls of its kind.
    pub fn added(&self, page: &Page) -> Option<Added> {
        let whole = self.direct_median(Kind::Whole);
        let streamed = self.direct_median(Kind::Streamed);
        let mut added: Vec<f64> = page
            .took
            .iter()
            .filter_map(|(kind, took)| {
                let direct = match kind {
                    Kind::Whole => whole,
                    Kind::Streamed => streamed,
                };
                Some((took.as_secs_f64() - direct?.as_secs_f64()) * 1e3)
            })
            .collect();
        added.sort_unstable_by(f64::total_cmp);
        Some(Added { p50: percentile(&added, 50)?, p95: percentile(&added, 95)? })
    }
}

impl Page {
    fn add(&mut self, call: Call) {
        self.calls += 1;
        self.streamed += u64::from(call.kind == Kind::Streamed);
        self.failed += u64::from(call.complaint.is_some());
        self.rescued += u64::from(call.complaint.is_none() && call.stamp.rescued());
        self.continued += u64::from(call.complaint.is_none() && call.stamp.continued);
        self.took.push((call.kind, call.took));
        if !call.stamp.provider.is_empty() {
            *self.providers.entry(call.stamp.provider).or_default() += 1;
        }
        if !call.stamp.policy.is_empty() {
            *self.policies.entry(call.stamp.policy).or_default() += 1;
        }
    }

    pub fn would_have_failed(&self) -> u64 {
        let Control { calls, failed } = self.control;
        // Rounded to the nearest; without control calls nothing is claimed.
        (self.calls * failed * 2 + calls).checked_div(calls * 2).unwrap_or(0)
    }

    /// Calls that the policy with this name decided.
    pub fn decided_by(&self, name: &str) -> u64 {
        let by_name = self.policies.iter().filter(|(tag, _)| name_of(tag) == name);
        by_name.map(|(_, calls)| calls).sum()
    }

    /// Calls that this provider began to answer.
    pub fn served_by(&self, provider: &str) -> u64 {
        self.providers.get(provider).copied().unwrap_or(0)
    }
}

/// The name in a policy's tag, `NAME@DIGEST`.
fn name_of(tag: &str) -> &str {
    tag.split_once('@').map_or(tag, |(name, _)| name)
}

fn add_up(total: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (key, count) in more {
        *total.entry(key.clone()).or_default() += count;
    }
}

/// Of sorted values, by nearest rank.
fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(phase: usize, way: Way, took_ms: u64, complaint: Option<Complaint>) -> Call {
        let stamp = Stamp::default();
        let took = Duration::from_millis(took_ms);
        Call { phase, kind: Kind::Whole, way, took, complaint, stamp }
    }

    #[test]
    fn what_alpha_alone_would_have_failed_is_scaled_up_phase_by_phase() {
        let check = |calls: u64, control: (u64, u64), expected: u64| {
            let control = Control { calls: control.0, failed: control.1 };
            let page = Page { calls, control, ..Page::default() };
            assert_eq!(page.would_have_failed(), expected, "{calls} {control:?}");
        };
        check(100, (20, 0), 0);
        check(100, (20, 20), 100);
        check(100, (20, 5), 25);
        check(10, (3, 2), 7);
        check(10, (0, 0), 0);
        check(0, (3, 3), 0);
    }

    #[test]
    fn the_added_time_is_measured_against_direct_calls_that_went_well() {
        let mut book = Book::new(2);
        for took in [10, 11, 12] {
            book.add(call(0, Way::Direct, took, None));
        }
        book.add(call(0, Way::Direct, 900, Some(Complaint::Status(500))));
        book.add(call(1, Way::Direct, 900, Some(Complaint::WrongText)));
        for took in [12, 13, 14, 211] {
            book.add(call(1, Way::Gateway, took, None));
        }
        let added = book.added(book.page(1)).unwrap();
        assert!((added.p50 - 2.0).abs() < 1e-6, "{added:?}");
        assert!((added.p95 - 200.0).abs() < 1e-6, "{added:?}");
        assert_eq!(book.added(book.page(0)), None);
        assert_eq!(book.total().control, Control { calls: 5, failed: 2 });
    }

    #[test]
    fn a_rescue_is_a_call_that_went_well_in_the_end() {
        let check = |attempts, continued, complaint: Option<Complaint>, rescued, failed| {
            let mut book = Book::new(1);
            let stamp = Stamp { attempts, continued, ..Stamp::default() };
            book.add(Call { stamp, ..call(0, Way::Gateway, 1, complaint) });
            assert_eq!((book.page(0).rescued, book.page(0).failed), (rescued, failed));
        };
        check(1, false, None, 0, 0);
        check(2, false, None, 1, 0);
        check(1, true, None, 1, 0);
        check(3, false, Some(Complaint::WrongText), 0, 1);
    }

    #[test]
    fn policies_are_counted_by_name() {
        let policies =
            [("own@12".to_owned(), 3), ("own@34".to_owned(), 4), ("owner@1".to_owned(), 5)];
        let page = Page { policies: policies.into(), ..Page::default() };
        assert_eq!(page.decided_by("own"), 7);
    }
}
