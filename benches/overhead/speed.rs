//! CPU time per call and latency: rounds of calls to each party in turn.

use std::time::Duration;

use serde::Serialize;

use super::Fault;
use super::call::Kind;
use super::load::{self, Connection, Round};
use super::process::{Parties, Process};
use super::stats::{Spread, micros, percentile};

/// What is measured at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Cell {
    pub kind: Kind,
    pub connections: usize,
}

/// Everything that is measured, in the order of the report.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for kind in [Kind::Whole, Kind::Burst, Kind::Paced] {
        cells.extend([1, 32, 256].map(|connections| Cell { kind, connections }));
    }
    cells.push(Cell { kind: Kind::ModelLast, connections: 32 });
    cells.push(Cell { kind: Kind::Across, connections: 32 });
    cells
}

/// How long and how often.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Plan {
    pub rounds: usize,
    /// Of one party, in one round.
    pub length: Duration,
    /// Before the first round, not counted.
    warm_up: Duration,
}

impl Plan {
    pub fn new(quick: bool, seconds: Option<f64>) -> Self {
        let millis = Duration::from_millis;
        let (rounds, length, warm_up) =
            if quick { (3, millis(150), millis(100)) } else { (5, millis(1_200), millis(300)) };
        let length = seconds.map_or(length, |seconds| Duration::from_secs_f64(seconds.max(0.0)));
        Self { rounds, length, warm_up }
    }
}

/// One party's figures, in microseconds where they are times.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Figures {
    /// Of the proxy; zero for calls that go to the provider directly.
    pub cpu: Spread,
    pub median: Spread,
    pub p99: Spread,
    pub calls_per_second: Spread,
}

/// What was found for one cell. Differences and ratios are taken round by round.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Row {
    #[serde(flatten)]
    pub cell: Cell,
    pub direct: Figures,
    pub bare: Figures,
    pub backstay: Figures,
    /// CPU time per call of the gateway, by that of the bare proxy.
    pub cpu_ratio: Spread,
    /// Microseconds that the gateway's median is above the bare proxy's.
    pub added_to_bare: Spread,
    /// Microseconds that the gateway's median is above the provider's own.
    pub added_to_direct: Spread,
    pub p99_added_to_bare: Spread,
}

/// One round of one party, in microseconds.
#[derive(Clone, Copy)]
struct Sample {
    cpu: f64,
    median: f64,
    p99: f64,
    calls_per_second: f64,
}

impl Sample {
    fn new(round: &Round, cpu: Duration) -> Self {
        let calls = round.latencies.len() as f64;
        Self {
            cpu: micros(cpu) / calls,
            median: micros(percentile(&round.latencies, 0.50)),
            p99: micros(percentile(&round.latencies, 0.99)),
            calls_per_second: calls / round.wall.as_secs_f64(),
        }
    }
}

fn figures(samples: &[Sample]) -> Figures {
    let spread = |figure: fn(&Sample) -> f64| Spread::of(samples.iter().map(figure));
    Figures {
        cpu: spread(|sample| sample.cpu),
        median: spread(|sample| sample.median),
        p99: spread(|sample| sample.p99),
        calls_per_second: spread(|sample| sample.calls_per_second),
    }
}

/// A party with its open connections and what was measured of it.
struct Runner<'p> {
    process: &'p Process,
    /// Whether the process stands between the calls and the provider.
    proxy: bool,
    connections: Vec<Connection>,
    samples: Vec<Sample>,
}

impl<'p> Runner<'p> {
    async fn ready(
        process: &'p Process,
        proxy: bool,
        cell: Cell,
        plan: Plan,
    ) -> Result<Self, Fault> {
        let connections = Connection::open_many(process.address, cell.connections).await?;
        let mut runner = Self { process, proxy, connections, samples: Vec::new() };
        runner.run(cell.kind, plan.warm_up).await?;
        runner.samples.clear();
        Ok(runner)
    }

    async fn run(&mut self, kind: Kind, length: Duration) -> Result<(), Fault> {
        let connections = std::mem::take(&mut self.connections);
        let before = self.process.cpu()?;
        let ran = load::round(connections, kind, length).await;
        let (connections, round) =
            ran.map_err(|fault| format!("{}: {fault}", self.process.name))?;
        let cpu =
            if self.proxy { self.process.cpu()?.saturating_sub(before) } else { Duration::ZERO };
        self.connections = connections;
        self.samples.push(Sample::new(&round, cpu));
        Ok(())
    }
}

/// Measures every party in every round, so that what else the machine does
/// meets all of them; who comes first changes from round to round.
pub async fn measure(parties: &Parties, cell: Cell, plan: Plan) -> Result<Row, Fault> {
    let mut runners = [
        Runner::ready(&parties.bare, true, cell, plan).await?,
        Runner::ready(&parties.backstay, true, cell, plan).await?,
        Runner::ready(&parties.upstream, false, cell, plan).await?,
    ];
    for round in 0..plan.rounds {
        for turn in 0..runners.len() {
            let next = (round + turn) % runners.len();
            runners[next].run(cell.kind, plan.length).await?;
        }
    }
    let [bare, backstay, direct] = runners.map(|runner| runner.samples);
    Ok(row(cell, &bare, &backstay, &direct))
}

fn row(cell: Cell, bare: &[Sample], backstay: &[Sample], direct: &[Sample]) -> Row {
    let compared = |with: &[Sample], compare: fn(&Sample, &Sample) -> f64| {
        Spread::of(backstay.iter().zip(with).map(|(ours, theirs)| compare(ours, theirs)))
    };
    Row {
        cell,
        direct: figures(direct),
        bare: figures(bare),
        backstay: figures(backstay),
        cpu_ratio: compared(bare, |ours, theirs| ours.cpu / theirs.cpu),
        added_to_bare: compared(bare, |ours, theirs| ours.median - theirs.median),
        added_to_direct: compared(direct, |ours, theirs| ours.median - theirs.median),
        p99_added_to_bare: compared(bare, |ours, theirs| ours.p99 - theirs.p99),
    }
}
