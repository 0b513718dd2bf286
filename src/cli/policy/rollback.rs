//! `backstay policy rollback`: back to a policy's version before, at once.

use std::process::ExitCode;

use serde_json::Value;

use super::super::say;
use super::running::Running;

#[derive(Debug, clap::Args)]
#[command(after_help = "The version before is kept compiled, so this takes effect at once; calls \
                        under way end with the version they began with. The version left is not \
                        loaded again until its file's content changes; a second rollback leads \
                        forward to it.\n\nExit code: 0 done, 1 there is no such policy, nothing \
                        to go back to, or no gateway, 2 the arguments or the configuration are \
                        wrong.")]
pub struct Rollback {
    /// The policy's name.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    running: Running,
}

pub fn run(rollback: &Rollback) -> ExitCode {
    let rolled = rollback.running.ask(async |client| client.roll_back(&rollback.name).await);
    match rolled {
        Ok(rolled) if rollback.running.json => {
            say(&format!("{rolled:#}"));
            ExitCode::SUCCESS
        }
        Ok(rolled) => {
            say(&sentence(&rollback.name, &rolled));
            ExitCode::SUCCESS
        }
        Err(ended) => ended,
    }
}

fn sentence(name: &str, rolled: &Value) -> String {
    let digest =
        |key: &str| rolled[key].as_str().and_then(|text| text.get(..8)).unwrap_or("?").to_owned();
    let (from, to) = (digest("from"), digest("to"));
    let to = if rolled["to_built_in"] == true { format!("the built-in ({to})") } else { to };
    format!("{name}: back from {from} to {to}. {from} is not loaded again until its file changes.")
}
