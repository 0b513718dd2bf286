//! `backstay policy …`: the verbs for those who write policies and those who run them.

mod test;

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Policy {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Run scenario files against a policy.
    Test(test::Test),
}

pub fn run(policy: &Policy) -> ExitCode {
    match &policy.verb {
        Verb::Test(verb) => test::run(verb),
    }
}
