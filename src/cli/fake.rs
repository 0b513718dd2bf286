//! `backstay fake`: a provider that breaks on purpose, until a signal ends it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::{MISUSED, complain, say};
use crate::fake::{Behaviour, FAULTS, Options, Server};

#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help())]
pub struct Fake {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// How it behaves, unless the model name says otherwise: see the list below.
    #[arg(value_name = "BEHAVIOUR", default_value = "ok")]
    behaviour: String,
    /// Shown in ids and in the list of models.
    #[arg(long, default_value = "fake")]
    name: String,
    /// Answer other keys with 401.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// For faults and latencies by chance.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn after_help() -> String {
    let mut text = String::from(
        "A behaviour is NAME[:PARAMETER=VALUE]… joined by '+', for example\n  \
         backstay fake 503\n  backstay fake stall:after=5+words=200\n  backstay fake 429:retry-after=2+flap=3/2\n\
         A call picks its own fault by its model name: any-model!BEHAVIOUR or fault-BEHAVIOUR.\n\n",
    );
    for (name, parameters, what) in FAULTS {
        let name = format!("{name} {parameters}");
        let _ = writeln!(text, "  {name:<34} {what}");
    }
    text
}

pub fn run(fake: &Fake) -> ExitCode {
    let behaviour = match Behaviour::parse(&fake.behaviour) {
        Ok(behaviour) => behaviour,
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(MISUSED);
        }
    };
    let served = super::runtime().and_then(|runtime| runtime.block_on(serve(fake, behaviour)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("cannot be a provider on {}: {error}", fake.listen));
            ExitCode::FAILURE
        }
    }
}

async fn serve(fake: &Fake, behaviour: Behaviour) -> std::io::Result<()> {
    let server = Server::start(Options {
        addr: fake.listen,
        name: fake.name.clone(),
        behaviour,
        api_key: fake.api_key.clone(),
        seed: fake.seed,
        ..Options::default()
    })?;
    say(&format!("{} serves {} (behaviour: {})", fake.name, server.base_url(), fake.behaviour));
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    server.shutdown().await;
    Ok(())
}
