//! `backstay demo`: a bad day, played through in less than a minute on this
//! machine alone. Fake providers break as `script` says, clients (`load`) call
//! the gateway all the while, and every answer is compared with what it should
//! be (`judge`). `book` and `witness` take in what happens, `view` shows it,
//! `report` and `summary` tell what came of it. The gateway itself is the one that `serve` runs.

mod book;
mod judge;
mod keep;
mod load;
mod paint;
mod report;
mod script;
mod stage;
mod summary;
mod table;
mod view;
mod witness;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::load::Clients;
use self::paint::Paint;
use self::report::Ending;
use self::script::{DAY, Phase, Provider};
use self::stage::Stage;
use self::view::{Frame, View};
use self::witness::Witness;
use super::{complain, environment, say, serve};
use crate::failover::Timestamp;

/// How often is looked at what is going on.
const LOOK: Duration = Duration::from_millis(100);
/// How much longer than planned a phase may last to see what it is there for. On
/// a slow machine a policy takes seconds to compile.
const GRACE: Duration = Duration::from_secs(30);
/// Time for a request to reach its provider: what happens in a phase shall not
/// hit calls that are booked under the one before.
const UNDER_WAY: Duration = Duration::from_millis(50);
const QUICK_SECONDS: u32 = 12;
/// Of a process that was ended by SIGINT.
const INTERRUPTED: u8 = 130;

#[derive(Debug, clap::Args)]
pub struct Demo {
    /// How long it takes, about.
    #[arg(long, value_name = "SECONDS", default_value_t = script::usual_seconds(),
          value_parser = clap::value_parser!(u32).range(10..=3600))]
    seconds: u32,
    /// Be done in about 12 seconds.
    #[arg(long, conflicts_with = "seconds")]
    quick: bool,
    /// Calls per second.
    #[arg(long, value_name = "CALLS", default_value_t = 40,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// The summary as one JSON document.
    #[arg(long)]
    json: bool,
    /// Stay up afterwards, and say what to try.
    #[arg(long)]
    keep: bool,
}

pub fn run(demo: &Demo) -> ExitCode {
    let played = super::runtime().map_err(|e| e.to_string()).and_then(|runtime| {
        let played = runtime.block_on(play(demo));
        runtime.shutdown_background();
        played
    });
    played.unwrap_or_else(|problem| {
        complain(&problem);
        ExitCode::FAILURE
    })
}

async fn play(demo: &Demo) -> Result<ExitCode, String> {
    let stage = Stage::set_up().await?;
    let mut told = Told::listen();
    let mut day = Day::begin(demo, &stage)?;
    let interrupted = day.play(&mut told).await?;
    let past = day.end().await;
    let good = report(demo, &stage, &past, interrupted);
    if demo.keep && !interrupted {
        complain(&keep::invitation(stage.ports, &stage.files));
        told.wait().await?;
    }
    stage.tear_down().await;
    Ok(match (good, interrupted) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => ExitCode::from(INTERRUPTED),
        (false, false) => ExitCode::FAILURE,
    })
}

/// Sums up. Returns whether all went well.
fn report(demo: &Demo, stage: &Stage, past: &Past, interrupted: bool) -> bool {
    let book = past.clients.book();
    let ending = Ending {
        book: &book,
        witness: &past.witness,
        counts: Provider::ALL.map(|provider| stage.counts(provider)),
        took: past.took,
        seen: &past.seen,
        interrupted,
    };
    if demo.json {
        say(&format_args!("{:#}", ending.document()));
    } else {
        say(&summary::summary(&ending, paint(std::io::stdout().is_terminal())));
    }
    ending.is_good()
}

fn paint(is_terminal: bool) -> Paint {
    Paint::on(is_terminal, environment("NO_COLOR").as_deref())
}

/// A signal to end, listened for from the beginning so that none is missed.
struct Told(JoinHandle<Result<(), String>>);

impl Told {
    fn listen() -> Self {
        Self(tokio::spawn(serve::told_to_stop()))
    }

    /// Can be given up and begun again, until it has returned once.
    async fn wait(&mut self) -> Result<(), String> {
        (&mut self.0).await.map_err(|e| e.to_string())?
    }
}

/// The day, over.
struct Past {
    clients: Clients,
    witness: Witness,
    seen: Vec<bool>,
    took: Duration,
}

/// The day under way.
struct Day<'a> {
    stage: &'a Stage,
    clients: Clients,
    calling: JoinHandle<()>,
    stop: watch::Sender<bool>,
    witness: Witness,
    view: View,
    seen: Vec<bool>,
    begun: Timestamp,
    length: Duration,
}

impl<'a> Day<'a> {
    fn begin(demo: &Demo, stage: &'a Stage) -> Result<Self, String> {
        let clock = stage.shared.clock;
        let gateway = stage.ports.gateway_url();
        let clients = Clients::new(&gateway, &stage.alpha_url(), DAY.len(), clock)
            .map_err(|e| format!("cannot make a client: {e}"))?;
        let (stop, stopping) = watch::channel(false);
        let is_terminal = std::io::stderr().is_terminal();
        let seconds = if demo.quick { QUICK_SECONDS } else { demo.seconds };
        Ok(Self {
            stage,
            calling: tokio::spawn(clients.clone().run(demo.rate, stopping)),
            clients,
            stop,
            witness: Witness::default(),
            view: View::open(is_terminal, paint(is_terminal)),
            seen: Vec::new(),
            begun: clock.now(),
            length: Duration::from_secs(u64::from(seconds)),
        })
    }

    /// Plays all phases. Returns whether a signal ended them early.
    async fn play(&mut self, told: &mut Told) -> Result<bool, String> {
        for (number, phase) in DAY.iter().enumerate() {
            self.clients.enter(number);
            self.seen.push(false);
            sleep(UNDER_WAY).await;
            for act in phase.acts {
                self.stage.perform(*act)?;
            }
            tokio::select! {
                () = self.play_phase(number, phase) => {}
                told = told.wait() => return told.map(|()| true),
            }
        }
        Ok(false)
    }

    async fn play_phase(&mut self, number: usize, phase: &Phase) {
        let begun = self.elapsed();
        let length = script::length_of(phase, self.length);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let elapsed = self.elapsed();
            self.witness.look(elapsed, self.stage.look());
            let book = self.clients.book();
            let seen = self.witness.has_seen(phase.until, book.page(number));
            let frame = Frame {
                book: &book,
                witness: &self.witness,
                phase: number,
                elapsed,
                length: self.length,
            };
            self.view.draw(&frame);
            let passed = elapsed.saturating_sub(begun);
            if (seen && passed >= length) || passed >= length + GRACE {
                self.view.phase_is_over(&frame);
                self.seen[number] = seen;
                return;
            }
        }
    }

    /// Waits for the calls under way.
    async fn end(self) -> Past {
        // Nobody to tell: then there are no calls any more.
        let _ = self.stop.send(true);
        if let Err(problem) = self.calling.await {
            complain(&format_args!("the clients failed: {problem}"));
        }
        self.view.close();
        let took = self.stage.shared.clock.now().since(self.begun);
        Past { clients: self.clients, witness: self.witness, seen: self.seen, took }
    }

    fn elapsed(&self) -> Duration {
        self.stage.shared.clock.now().since(self.begun)
    }
}
