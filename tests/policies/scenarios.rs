//! The scenario that lies beside every policy, run as `backstay policy test` does.

use std::path::PathBuf;

use backstay::policy::Compiler;
use backstay::sim::{self, Bench, scenario};

use crate::workshop;

#[test]
fn the_scenario_of_every_policy_holds() {
    let compiler = Compiler::Child(PathBuf::from(env!("CARGO_BIN_EXE_backstay")));
    // Compiles them all, once: from here on they are in the cache.
    crate::library();
    let cache = workshop::scratch("host").join("compiled");
    for project in workshop::projects() {
        let name = &project.name;
        let file = project.directory.join("scenario.toml");
        let scenario = scenario::load(&file).unwrap_or_else(|problems| panic!("{problems}"));
        let component = &workshop::built()[name].file;
        let bench = Bench::open(&[component], compiler.clone(), Some(cache.clone()));
        let bench = bench.unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let report = sim::run(&scenario, &bench.contender(0), scenario.seed, &|_| {});
        assert!(report.passed && !report.cases.is_empty(), "{name}: {:#?}", report.cases);
    }
}
