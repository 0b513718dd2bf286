//! What the gateway costs: CPU time per call, added latency and memory of
//! `backstay serve`, against a bare proxy measured in the same run.
//!
//! `cargo bench --bench overhead`, or `-- --help` for its options. Four
//! processes take part: this one makes the calls, and starts from its own
//! executable the provider ([`upstream`]) and the proxy to compare with
//! ([`bare`]), and the gateway from its binary.

mod bare;
mod call;
mod load;
mod memory;
mod process;
mod report;
mod speed;
mod stats;
mod upstream;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use self::call::Kind;
use self::process::Stage;
use self::report::{Findings, say};
use self::speed::Plan;

/// Why a measurement could not be made.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// More than the 1,000 streams need on either side of a proxy.
const FILE_DESCRIPTORS: u64 = 20_000;

/// Measures what the gateway costs against a bare proxy, in the same run.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "a flag of the command line each")]
struct Arguments {
    /// What cargo passes to every bench.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    /// A short, rough run.
    #[arg(long)]
    quick: bool,
    /// Only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Only this kind of call.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Only this number of connections.
    #[arg(long)]
    connections: Option<usize>,
    /// Seconds that one party is measured at a time.
    #[arg(long)]
    seconds: Option<f64>,
    /// Give the proxies one core, and the calls and the provider the others.
    #[arg(long)]
    pin: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
    /// Fail if a target is missed.
    #[arg(long)]
    strict: bool,
    /// Another gateway binary.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_backstay"))]
    binary: PathBuf,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Part {
    Speed,
    Memory,
}

/// What the children of the bench are; they print their address.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
enum Role {
    /// The provider.
    Upstream,
    /// The proxy to compare with.
    Bare { upstream: SocketAddr },
}

fn main() -> Result<ExitCode, Fault> {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(Role::Upstream) => one_thread()?.block_on(async {
            let listener = announced().await?;
            Err(upstream::serve(listener).await.into())
        }),
        // The gateway's runtime.
        Some(Role::Bare { upstream }) => {
            Builder::new_multi_thread().enable_all().build()?.block_on(async {
                let listener = announced().await?;
                Err(bare::serve(listener, upstream).await)
            })
        }
        None => measure(&arguments),
    }
}

/// One thread each for the calls and for the provider: what they add to the
/// latency is then the same for all parties, and little.
fn one_thread() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A listener on a free port, which the parent is told.
async fn announced() -> Result<TcpListener, Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.local_addr()?)?;
    out.flush()?;
    Ok(listener)
}

fn measure(arguments: &Arguments) -> Result<ExitCode, Fault> {
    // The children inherit it.
    rlimit::increase_nofile_limit(FILE_DESCRIPTORS)?;
    let stage = Stage::set(arguments.binary.clone(), arguments.pin)?;
    let findings = one_thread()?.block_on(find(arguments, &stage))?;
    let targets = report::targets(&findings);
    if arguments.json {
        say(&report::json(&findings, &targets)?);
    } else {
        say(&report::verdicts(&targets));
    }
    let missed = targets.iter().any(|target| !target.met);
    Ok(ExitCode::from(u8::from(arguments.strict && missed)))
}

async fn find(arguments: &Arguments, stage: &Stage) -> Result<Findings, Fault> {
    let mut findings = Findings::default();
    let print = |line: &dyn std::fmt::Display| {
        if !arguments.json {
            say(line);
        }
    };
    if arguments.only != Some(Part::Memory) {
        let plan = Plan::new(arguments.quick, arguments.seconds);
        let chosen = speed::cells().into_iter().filter(|cell| {
            arguments.kind.is_none_or(|kind| cell.kind == kind)
                && arguments.connections.is_none_or(|number| cell.connections == number)
        });
        print(&report::speed_header(plan, stage.pinned()));
        let parties = stage.parties().await?;
        for cell in chosen {
            let row = speed::measure(&parties, cell, plan).await?;
            print(&report::speed_row(&row));
            findings.speed.push(row);
        }
    }
    if arguments.only != Some(Part::Speed) {
        print(&report::memory_header());
        // Fresh processes, for what earlier calls left behind is not to count.
        let parties = stage.parties().await?;
        for party in [&parties.bare, &parties.backstay] {
            let row = memory::measure(party).await?;
            print(&report::memory_row(&row));
            findings.memory.push(row);
        }
    }
    Ok(findings)
}
