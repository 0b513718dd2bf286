//! What is left of the day, and how machines read it. Pure.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::book::{Added, Book, Kind, Page};
use super::script::{DAY, POLICY, Provider};
use super::witness::Witness;
use crate::fake::Counts;

/// What there is to report.
#[derive(Debug)]
pub struct Ending<'a> {
    pub book: &'a Book,
    pub witness: &'a Witness,
    /// What each provider counted itself.
    pub counts: [Counts; 3],
    /// How long it took.
    pub took: Duration,
    /// By phase begun: whether what it was there for was seen.
    pub seen: &'a [bool],
    /// Ended before its time.
    pub interrupted: bool,
}

impl Ending<'_> {
    /// Whether the day went to its end without a client noticing anything.
    pub fn is_good(&self) -> bool {
        !self.interrupted && self.book.total().failed == 0
    }

    /// For machines.
    pub fn document(&self) -> Value {
        let total = self.book.total();
        let phases: Vec<_> = (0..self.seen.len()).map(|phase| self.phase(phase)).collect();
        let changes: Vec<_> = self
            .witness
            .changes()
            .map(|change| json!({ "ms": change.at.as_millis(), "what": change.what }))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "seconds": self.took.as_secs_f64(),
            "interrupted": self.interrupted,
            "calls": {
                "total": total.calls,
                "whole": total.calls - total.streamed,
                "streamed": total.streamed,
                "failed": total.failed,
                "would_have_failed": self.book.would_have_failed(),
                "rescued": total.rescued,
                "continued": total.continued,
            },
            "direct_to_alpha": { "calls": total.control.calls, "failed": total.control.failed },
            "direct_p50_ms": {
                "whole": self.book.direct_median(Kind::Whole).map(ms),
                "streamed": self.book.direct_median(Kind::Streamed).map(ms),
            },
            "added_ms": added(self.book, &total),
            "phases": phases,
            "providers": self.providers(&total),
            "policies": self.policies(&total),
            "changes": changes,
            "complaints": self.book.quoted(),
        })
    }

    fn phase(&self, phase: usize) -> Value {
        let page = self.book.page(phase);
        json!({
            "name": DAY[phase].name,
            "title": DAY[phase].title,
            "seen": self.seen[phase],
            "calls": page.calls,
            "streamed": page.streamed,
            "failed": page.failed,
            "would_have_failed": page.would_have_failed(),
            "rescued": page.rescued,
            "continued": page.continued,
            "direct_to_alpha": { "calls": page.control.calls, "failed": page.control.failed },
            "added_ms": added(self.book, page),
            "answered_by": page.providers,
            "decided_by": page.policies,
        })
    }

    fn providers(&self, total: &Page) -> Value {
        let one = |provider: Provider| {
            let Counts { requests, faulty, .. } = self.counts[provider.index()];
            let circuit =
                self.witness.last().map(|sight| sight.providers[provider.index()].circuit);
            let answered = total.served_by(provider.name());
            let value = json!({
                "answered": answered,
                "requests": requests,
                "faults": faulty,
                "circuit": circuit,
            });
            (provider.name().to_owned(), value)
        };
        Value::Object(Provider::ALL.into_iter().map(one).collect::<Map<_, _>>())
    }

    fn policies(&self, total: &Page) -> Value {
        json!({
            "decided": total.policies,
            "swapped_in": POLICY,
            "swapped_in_decided": total.decided_by(POLICY),
            "refused": self.witness.refused.as_ref().map(|refused| json!({
                "reason": refused.reason,
                "serving": refused.serving,
            })),
            "quarantined": self.witness.quarantined.as_ref().map(|quarantined| json!({
                "digest": quarantined.digest,
                "faults": quarantined.faults,
                "last_fault": quarantined.last_fault,
            })),
        })
    }
}

fn ms(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3)
}

/// To microseconds.
fn rounded(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

fn added(book: &Book, page: &Page) -> Option<Value> {
    let Added { p50, p95 } = book.added(page)?;
    Some(json!({ "p50": rounded(p50), "p95": rounded(p95) }))
}
