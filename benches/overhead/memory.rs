//! Memory: of a process that has just started, and of each open stream.

use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use super::Fault;
use super::call::Kind;
use super::load::{self, Connection};
use super::process::Process;

const STREAMS: usize = 1_000;
/// Calls before the streams are opened, so that what is set up once is not
/// counted as theirs.
const WARM_UP: (usize, Duration) = (32, Duration::from_millis(300));
/// Without work, for the idle figures.
const IDLE: Duration = Duration::from_secs(1);
/// Memory has settled when it is the same for this many looks in a row …
const STEADY_LOOKS: u32 = 5;
/// … but it is looked at no more often than this.
const MOST_LOOKS: u32 = 30;
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// What was found of one process: resident bytes at each point.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Row {
    pub party: &'static str,
    /// Started, before the first call.
    pub idle: u64,
    /// Share of one core that the idle process takes.
    pub idle_cpu: f64,
    /// After some calls.
    pub warm: u64,
    /// With all streams open, the first event of each delivered.
    pub open: u64,
    /// After all were closed.
    pub closed: u64,
    pub streams: usize,
}

impl Row {
    pub fn per_stream(&self) -> f64 {
        self.open.saturating_sub(self.warm) as f64 / self.streams as f64
    }
}

/// Needs a process that had no calls yet.
pub async fn measure(process: &Process) -> Result<Row, Fault> {
    let before = process.cpu()?;
    sleep(IDLE).await;
    let idle_cpu = process.cpu()?.saturating_sub(before).as_secs_f64() / IDLE.as_secs_f64();
    let idle = settled(process).await?;
    for kind in [Kind::Whole, Kind::Burst] {
        let connections = Connection::open_many(process.address, WARM_UP.0).await?;
        load::round(connections, kind, WARM_UP.1).await?;
    }
    let warm = settled(process).await?;
    let mut streams = Vec::with_capacity(STREAMS);
    for mut connection in Connection::open_many(process.address, STREAMS).await? {
        let answer = connection.begin(Kind::Held.request()).await?;
        streams.push((connection, answer));
    }
    let open = settled(process).await?;
    if streams.iter().any(|(_, answer)| hyper::body::Body::is_end_stream(answer)) {
        return Err(format!("{} ended a stream that was to stay open", process.name).into());
    }
    drop(streams);
    let closed = settled(process).await?;
    Ok(Row { party: process.name, idle, idle_cpu, warm, open, closed, streams: STREAMS })
}

async fn settled(process: &Process) -> Result<u64, Fault> {
    let mut resident = process.resident()?;
    let mut steady = 0;
    for _ in 0..MOST_LOOKS {
        sleep(LOOK_PAUSE).await;
        let before = std::mem::replace(&mut resident, process.resident()?);
        steady = if before == resident { steady + 1 } else { 0 };
        if steady == STEADY_LOOKS {
            break;
        }
    }
    Ok(resident)
}
