//! What is counted in the course of a run, in bounded memory.

use std::collections::BTreeMap;
use std::time::Duration;

use super::call::{End, Running, SimCall};
use super::histogram::Histogram;
use super::numbers::micros;
use super::scenario::{Scenario, Span};
use crate::failover::Timestamp;
use crate::failover::breaker::Change;
use crate::failover::call::Circuit;

/// Columns of the timeline.
const COLUMNS: u64 = 240;
/// Recovery is looked for in slices of this length.
const SLICE: Duration = Duration::from_secs(5);
/// A slice with this share of successes is a good one.
const GOOD_PERCENT: u64 = 99;
/// Changes of circuits that are kept; the others are counted.
const MOST_CHANGES: usize = 10_000;
/// Kinds of faults that are told apart; further ones are counted together.
const MOST_REASONS: usize = 16;
/// Ends of windows after which recovery is measured.
const MOST_SPANS: usize = 10_000;

/// What was counted of some of the calls.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What clients wanted answered, and what was in the end.
    pub requests: u64,
    pub served: u64,
    pub calls: u64,
    pub succeeded: u64,
    pub rescued: u64,
    pub causes: BTreeMap<&'static str, u64>,
    pub attempts: u64,
    pub first_token: Histogram,
    pub total: Histogram,
    pub cost_usd: f64,
    /// Attempts at targets without prices.
    pub unpriced: u64,
    pub targets: Vec<TargetTally>,
}

#[derive(Clone, Debug, Default)]
pub struct TargetTally {
    pub attempts: u64,
    /// Calls whose answer, or its end, came from here.
    pub answered: u64,
    pub failures: BTreeMap<&'static str, u64>,
    pub cost_usd: f64,
}

/// One step of the timeline, by the arrival of calls.
#[derive(Clone, Debug, Default)]
pub struct Column {
    pub calls: u64,
    pub succeeded: u64,
    pub attempts: u64,
    /// By target.
    pub answered: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
pub struct CircuitChange {
    pub at: Timestamp,
    pub target: usize,
    pub to: Circuit,
    pub why: &'static str,
}

/// Until calls succeeded again after a window; the worse is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Recovery {
    Within(Duration),
    /// They did not before the end of the run.
    Never,
}

#[derive(Clone, Copy, Default, Debug)]
struct Slice {
    calls: u32,
    succeeded: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Book {
    pub duration: Duration,
    pub whole: Tally,
    pub periods: Vec<(Span, Tally)>,
    pub columns: Vec<Column>,
    pub changes: Vec<CircuitChange>,
    pub change_count: u64,
    /// By target: how often its circuit opened.
    pub openings: Vec<u64>,
    pub faults: BTreeMap<String, u64>,
    pub targets: Vec<(String, Option<(f64, f64)>)>,
    slices: Vec<Slice>,
    /// Ends of windows.
    window_ends: Vec<Duration>,
}

/// A call that is over.
#[derive(Debug)]
pub struct Ended<'a> {
    pub call: &'a SimCall,
    pub now: Timestamp,
}

impl Book {
    #[must_use]
    pub fn new(scenario: &Scenario, targets: Vec<(String, Option<(f64, f64)>)>) -> Self {
        let duration = scenario.traffic.as_ref().map_or(Duration::ZERO, |t| t.duration);
        let tally =
            || Tally { targets: vec![TargetTally::default(); targets.len()], ..Tally::default() };
        let columns = if duration.is_zero() { 0 } else { COLUMNS.min(duration.as_secs().max(1)) };
        let column = Column { answered: vec![0; targets.len()], ..Column::default() };
        let slices = duration.as_secs() / SLICE.as_secs() + 1;
        Self {
            duration,
            whole: tally(),
            periods: scenario.during.iter().map(|period| (period.span, tally())).collect(),
            columns: vec![column; usize::try_from(columns).unwrap_or(0)],
            changes: Vec::new(),
            change_count: 0,
            openings: vec![0; targets.len()],
            faults: BTreeMap::new(),
            slices: vec![Slice::default(); usize::try_from(slices).unwrap_or(0)],
            window_ends: window_ends(scenario, duration),
            targets,
        }
    }

    #[must_use]
    pub fn target_name(&self, target: usize) -> &str {
        self.targets.get(target).map_or("", |(name, _)| name)
    }

    /// Whether it is known what a target costs.
    #[must_use]
    pub fn is_priced(&self, target: usize) -> bool {
        self.targets.get(target).is_some_and(|(_, prices)| prices.is_some())
    }

    /// The length of a column.
    #[must_use]
    pub fn column_length(&self) -> Duration {
        let columns = u32::try_from(self.columns.len()).unwrap_or(1).max(1);
        self.duration / columns
    }

    /// A client wants something answered.
    pub fn requested(&mut self, now: Timestamp) {
        self.tallies(now).for_each(|tally| tally.requests += 1);
    }

    /// A client got its answer, or will not try again.
    pub fn settled(&mut self, _tries: u32, succeeded: bool, begun: Timestamp) {
        self.tallies(begun).for_each(|tally| tally.served += u64::from(succeeded));
    }

    pub fn circuit(&mut self, target: usize, change: &Change, now: Timestamp) {
        self.change_count += 1;
        if change.to == Circuit::Open
            && let Some(openings) = self.openings.get_mut(target)
        {
            *openings += 1;
        }
        if self.changes.len() < MOST_CHANGES {
            let CircuitChange { at, target, to, why } =
                CircuitChange { at: now, target, to: change.to, why: change.why };
            self.changes.push(CircuitChange { at, target, to, why });
        }
    }

    pub fn fault(&mut self, reason: &str) {
        let full = self.faults.len() >= MOST_REASONS && !self.faults.contains_key(reason);
        let reason = if full { "others" } else { reason };
        *self.faults.entry(reason.to_owned()).or_default() += 1;
    }

    /// A call is over.
    pub fn ended(&mut self, ended: &Ended<'_>) {
        let call = ended.call;
        let succeeded = call.end.as_ref().is_some_and(End::is_success);
        let prices: Vec<_> = self.targets.iter().map(|(_, prices)| *prices).collect();
        for tally in self.tallies(call.begun) {
            tally.enter(ended, &prices);
        }
        let answered = call.source.filter(|_| succeeded);
        let answered = answered.map(|id| call.attempts[id.index()].target);
        let index = micros(call.begun.since_origin()) / micros(self.column_length()).max(1);
        // Clients that try again may come after the end.
        let last = self.columns.len().saturating_sub(1);
        let index = usize::try_from(index).unwrap_or(usize::MAX).min(last);
        if let Some(column) = self.columns.get_mut(index) {
            column.calls += 1;
            column.succeeded += u64::from(succeeded);
            column.attempts += call.attempts.len() as u64;
            if let Some(target) = answered {
                column.answered[target] += 1;
            }
        }
        let slice = call.begun.since_origin().as_secs() / SLICE.as_secs();
        if let Some(slice) = self.slices.get_mut(usize::try_from(slice).unwrap_or(usize::MAX)) {
            slice.calls += 1;
            slice.succeeded += u32::from(succeeded);
        }
    }

    /// The tallies that a call belongs to which arrived then.
    fn tallies(&mut self, arrived: Timestamp) -> impl Iterator<Item = &mut Tally> {
        let at = arrived.since_origin();
        let within = move |span: &Span| span.from <= at && at < span.until;
        let periods = self.periods.iter_mut().filter(move |(span, _)| within(span));
        std::iter::once(&mut self.whole).chain(periods.map(|(_, tally)| tally))
    }

    /// The longest time, over all ends of windows, from there until calls
    /// succeed again; `None` without a window after whose end calls came.
    #[must_use]
    pub fn recovery(&self) -> Option<Recovery> {
        self.window_ends.iter().filter_map(|end| self.recovery_after(*end)).max()
    }

    fn recovery_after(&self, end: Duration) -> Option<Recovery> {
        let first = usize::try_from(end.as_secs().div_ceil(SLICE.as_secs())).unwrap_or(usize::MAX);
        let after = self.slices.iter().enumerate().skip(first);
        let mut after = after.filter(|(_, slice)| slice.calls > 0).peekable();
        after.peek()?;
        let good = |slice: &Slice| {
            u64::from(slice.succeeded) * 100 >= u64::from(slice.calls) * GOOD_PERCENT
        };
        let found = after.find(|(_, slice)| good(slice));
        Some(found.map_or(Recovery::Never, |(index, _)| {
            let slices = u32::try_from(index).unwrap_or(u32::MAX);
            Recovery::Within(SLICE.saturating_mul(slices).saturating_sub(end))
        }))
    }
}

/// The ends of all windows before the end of the run.
fn window_ends(scenario: &Scenario, duration: Duration) -> Vec<Duration> {
    let providers = scenario.providers.values();
    let windows = providers.flat_map(|provider| &provider.windows);
    let mut ends: Vec<Duration> = windows
        .flat_map(|window| window.spans(duration, MOST_SPANS))
        .map(|span| span.until)
        .filter(|end| *end < duration)
        .take(MOST_SPANS)
        .collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

impl Tally {
    fn enter(&mut self, ended: &Ended<'_>, prices: &[Option<(f64, f64)>]) {
        let call = ended.call;
        self.calls += 1;
        self.attempts += call.attempts.len() as u64;
        match call.end.as_ref().and_then(End::cause) {
            None => {
                self.succeeded += 1;
                self.rescued += u64::from(call.attempts.iter().any(|a| a.failure.is_some()));
                self.total.record(ended.now.since(call.begun));
                let first = call.first_delivered.unwrap_or(ended.now);
                self.first_token.record(first.since(call.begun));
                if let Some(id) = call.source {
                    self.targets[call.attempts[id.index()].target].answered += 1;
                }
            }
            Some(cause) => *self.causes.entry(cause).or_default() += 1,
        }
        for attempt in &call.attempts {
            let cost = cost(call, attempt, prices[attempt.target]);
            let target = &mut self.targets[attempt.target];
            target.attempts += 1;
            if let Some(class) = attempt.failure {
                *target.failures.entry(class.label()).or_default() += 1;
            }
            match cost {
                Some(cost) => {
                    target.cost_usd += cost;
                    self.cost_usd += cost;
                }
                None => self.unpriced += 1,
            }
        }
    }
}

/// What an attempt costs: nothing unless a success was answered, then the input
/// and what was said; `None` without prices.
fn cost(call: &SimCall, attempt: &Running, prices: Option<(f64, f64)>) -> Option<f64> {
    let (input, output) = prices?;
    if !attempt.headed {
        return Some(0.0);
    }
    let said = if call.call.streams() { attempt.said } else { attempt.performance.answer.tokens };
    let input_tokens = f64::from(call.request.input_tokens);
    Some((input * input_tokens + output * f64::from(said)) / 1e6)
}
