//! `backstay policy …`: the verbs for those who write policies and those who run them.

mod bench;
mod build;
mod check;
mod file;
mod list;
mod new;
mod rollback;
mod running;
mod test;
mod units;

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Policy {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Start a policy: a directory that builds at once, with a test.
    New(new::New),
    /// Build the policy in a directory with the tools of its language.
    Build(build::Build),
    /// Say what the gateway would make of a policy's file, and why.
    Check(check::Check),
    /// Run scenario files against a policy.
    Test(test::Test),
    /// Measure a policy: time, memory and fuel of each verb, against the limits
    /// and beside the built-in.
    Bench(bench::Bench),
    /// List what a running gateway has loaded.
    List(list::List),
    /// Make a running gateway go back to a policy's version before, at once.
    Rollback(rollback::Rollback),
}

pub fn run(policy: &Policy) -> ExitCode {
    match &policy.verb {
        Verb::New(verb) => new::run(verb),
        Verb::Build(verb) => build::run(verb),
        Verb::Check(verb) => check::run(verb),
        Verb::Test(verb) => test::run(verb),
        Verb::Bench(verb) => bench::run(verb),
        Verb::List(verb) => list::run(verb),
        Verb::Rollback(verb) => rollback::run(verb),
    }
}
