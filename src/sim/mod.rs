//! The simulated driver: the pure heart and real policies on a virtual clock,
//! with scripted providers. Failover is decided here no more than in the live
//! driver: what is decided, the heart and the policies decide.
//!
//! Deterministic: the same scenario, seed and policy give the same report, to
//! the byte, on any machine. No wall time, no order of hashes, and of floating
//! point only what IEEE 754 defines to the last bit ([`numbers`]).
//!
//! Must not know sockets or the live gateway. Reading order: [`scenario`] (what
//! is written), [`world`] (the driver), [`provider`] and [`performance`] (what
//! the others do), [`book`], [`report`] and [`judge`] (what came of it),
//! [`table`] and [`chart`] (how that looks).

pub mod arrivals;
pub mod book;
pub mod call;
pub mod chart;
pub mod clock;
pub mod contender;
pub mod fault;
pub mod histogram;
pub mod judge;
pub mod numbers;
pub mod performance;
pub mod provider;
pub mod queue;
pub mod report;
pub mod scenario;
pub mod shown;
pub mod table;
pub mod world;

use std::sync::Arc;
use std::time::Duration;

use clock::VirtualClock;
use contender::Contender;
use report::{CaseResult, PolicyName, Report, ScenarioResult, Traffic, Trouble};
use scenario::Scenario;
use world::World;

pub use contender::{Bench, BenchFault};

/// Told how far a run is, now and then: which contender, and the virtual time.
pub type Progress<'a> = &'a (dyn Fn(usize, Duration) + Sync);

/// Runs a scenario with each contender, the second beside the first.
#[must_use]
pub fn simulate(
    scenario: &Scenario,
    contenders: &[Contender],
    seed: u64,
    progress: Progress<'_>,
) -> ScenarioResult {
    let reports = std::thread::scope(|scope| {
        let runs: Vec<_> = contenders
            .iter()
            .enumerate()
            .map(|(number, contender)| {
                scope.spawn(move || run(scenario, contender, seed, &|time| progress(number, time)))
            })
            .collect();
        let joined = runs
            .into_iter()
            .map(|run| run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect::<Vec<Report>>()
    });
    let difference = match reports.as_slice() {
        [first, second] => report::difference(first, second),
        _ => None,
    };
    let duration = scenario.traffic.as_ref().map_or(Duration::ZERO, |traffic| traffic.duration);
    ScenarioResult {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        seed,
        duration_s: report::seconds(duration),
        windows: windows(scenario, duration),
        reports,
        difference,
    }
}

/// When which provider is not itself.
fn windows(scenario: &Scenario, duration: Duration) -> Vec<Trouble> {
    /// Of the whole scenario.
    const MOST: usize = 1_000;
    let mut windows = Vec::new();
    for (name, provider) in &scenario.providers {
        for span in provider.windows.iter().flat_map(|window| window.spans(duration, MOST)) {
            windows.push(Trouble {
                provider: name.clone(),
                from_s: report::seconds(span.from),
                until_s: report::seconds(span.until.min(duration)),
            });
        }
    }
    windows.truncate(MOST);
    windows
}

/// What one policy makes of a scenario.
#[must_use]
pub fn run(
    scenario: &Scenario,
    contender: &Contender,
    seed: u64,
    progress: &dyn Fn(Duration),
) -> Report {
    let (mut traffic, mut expectations) = (None, Vec::new());
    if scenario.traffic.is_some() {
        let mut world = new_world(scenario, contender, seed);
        world.run(seed, progress);
        let found = Traffic::of(&world.book);
        expectations = judge::judge(scenario, &world.book, &found);
        traffic = Some(found);
    }
    let cases = play_cases(scenario, contender, seed);
    let passed =
        expectations.iter().all(|judgement| judgement.held) && cases.iter().all(|case| case.held);
    let policy = PolicyName { name: contender.name.clone(), digest: contender.digest.clone() };
    Report { policy, traffic, expectations, cases, passed }
}

fn new_world<'s>(scenario: &'s Scenario, contender: &Contender, seed: u64) -> World<'s> {
    let clock = VirtualClock::default();
    World::new(scenario, contender.afresh(&clock), clock, seed)
}

/// Plays the cases, each in a new world unless it goes on from the one before.
fn play_cases(scenario: &Scenario, contender: &Contender, seed: u64) -> Vec<CaseResult> {
    let mut world = None;
    let mut results = Vec::new();
    for case in &scenario.cases {
        let fresh = !case.after_previous || world.is_none();
        if fresh {
            world = Some(new_world(scenario, contender, seed));
        }
        let Some(world) = &mut world else { continue };
        let case = Arc::new(case.clone());
        if let Some(call) = world.play(&case) {
            results.push(judge::judge_case(&case, &call, world.now(), &world.book));
        }
    }
    results
}
