//! What a simulated call costs, all its decisions by the built-in component
//! included: a day of ten calls a second is 864,000 of these. The day itself is
//! `backstay simulate benches/scenarios/day.toml`.

use std::path::Path;
use std::time::Duration;

use backstay::policy::Compiler;
use backstay::sim::scenario::{Scenario, parse};
use backstay::sim::{self, Bench};
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

/// A part of the day, with its troubles.
fn part(length: Duration) -> Scenario {
    let text = include_str!("scenarios/day.toml");
    let mut scenario = parse(text, Path::new("day.toml")).expect("the day is a scenario");
    let traffic = scenario.traffic.as_mut().expect("it has traffic");
    traffic.duration = length;
    scenario
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn ten_minutes(bencher: divan::Bencher) {
    let bench = Bench::open(&[], Compiler::InProcess, None).expect("the built-in loads");
    let scenario = part(Duration::from_mins(10));
    bencher
        .counter(ItemsCount::new(6_000_u32))
        .bench(|| sim::run(&scenario, &bench.builtin(), 1, &|_| {}));
}
