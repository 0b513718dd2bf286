//! The clients of the demo: steady traffic that does not wait for answers, and
//! a share of it also sent to alpha directly. Knows nothing of what happens to
//! the providers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Client, Response, redirect, retry};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::book::{Book, Call, Kind, Stamp, Way};
use super::judge::{self, Complaint};
use super::script::{ROUTE, WORDS};
use crate::clock::Clock;
use crate::fake::answer;

/// One call in so many is also sent to alpha directly. Odd, so that whole and
/// streamed ones take turns.
const CONTROL_EVERY: u64 = 5;
/// A client's patience with the gateway. Longer than the route's deadline, so
/// that the gateway has the time to say what it has to say.
const PATIENCE: Duration = Duration::from_secs(30);
/// A client's patience with alpha, many times what a healthy answer takes.
const CONTROL_PATIENCE: Duration = Duration::from_secs(5);
/// Calls under way; when there are more, the next ones wait. A day at full rate
/// with every call at the end of its patience stays below it.
const MOST_UNDER_WAY: usize = 2048;

/// Where the calls go, and where they are accounted for.
#[derive(Clone, Debug)]
pub struct Clients {
    http: Client,
    clock: Clock,
    gateway: Arc<str>,
    alpha: Arc<str>,
    book: Arc<Mutex<Book>>,
    /// The phase under way.
    phase: Arc<AtomicUsize>,
}

impl Clients {
    /// Takes the base URLs that SDKs are given.
    pub fn new(
        gateway: &str,
        alpha: &str,
        phases: usize,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .tls_certs_only([])
            .build()?;
        Ok(Self {
            http,
            clock,
            gateway: gateway.into(),
            alpha: alpha.into(),
            book: Arc::new(Mutex::new(Book::new(phases))),
            phase: Arc::default(),
        })
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Books the calls that begin from now on under this phase.
    pub fn enter(&self, phase: usize) {
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// Calls at this rate until `stop` is true, then until all are answered.
    pub async fn run(self, per_second: u32, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(Duration::from_secs(1) / per_second);
        // A machine that cannot keep up gets less load rather than a burst.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut calls = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                _ = ticks.tick(), if calls.len() < MOST_UNDER_WAY => {
                    self.begin(number, &mut calls);
                    number += 1;
                }
                Some(_over) = calls.join_next() => {}
                // The sender is gone only when nobody wants calls any more.
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        calls.join_all().await;
    }

    fn begin(&self, number: u64, calls: &mut JoinSet<()>) {
        let phase = self.phase.load(Ordering::Relaxed);
        calls.spawn(self.clone().call(number, phase, Way::Gateway));
        if number.is_multiple_of(CONTROL_EVERY) {
            calls.spawn(self.clone().call(number, phase, Way::Direct));
        }
    }

    async fn call(self, number: u64, phase: usize, way: Way) {
        let kind = if number.is_multiple_of(2) { Kind::Whole } else { Kind::Streamed };
        let prompt = format!("Tell me about day {number} at sea.");
        let begun = self.clock.now();
        let mut stamp = Stamp::default();
        let judged = self.ask(&prompt, kind, way, &mut stamp).await;
        let took = self.clock.now().since(begun);
        let complaint = judged.err();
        self.book().add(Call { phase, kind, way, took, complaint, stamp });
    }

    async fn ask(
        &self,
        prompt: &str,
        kind: Kind,
        way: Way,
        stamp: &mut Stamp,
    ) -> Result<(), Complaint> {
        let (base, patience) = match way {
            Way::Gateway => (&self.gateway, PATIENCE),
            Way::Direct => (&self.alpha, CONTROL_PATIENCE),
        };
        let body = json!({
            "model": ROUTE,
            "stream": kind == Kind::Streamed,
            "messages": [{ "role": "user", "content": prompt }],
        });
        let request = self
            .http
            .post(format!("{base}/chat/completions"))
            .timeout(patience)
            .header("content-type", "application/json")
            .body(body.to_string());
        let response = request.send().await.map_err(lost)?;
        *stamp = read_stamp(&response);
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(lost)?;
        let expected = answer(prompt, WORDS);
        match kind {
            Kind::Whole => judge::whole(status, &body, &expected),
            Kind::Streamed => {
                stamp.continued = judge::stream(status, &body, &expected)?;
                Ok(())
            }
        }
    }
}

fn lost(error: reqwest::Error) -> Complaint {
    let error = error.without_url();
    let cause = std::error::Error::source(&error);
    Complaint::Lost(cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")))
}

fn read_stamp(response: &Response) -> Stamp {
    let text = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let target = text("x-backstay-target");
    Stamp {
        trace: text("x-backstay-trace"),
        provider: target
            .split_once('/')
            .map(|(provider, _)| provider.to_owned())
            .unwrap_or_default(),
        attempts: text("x-backstay-attempts").parse().unwrap_or(0),
        policy: text("x-backstay-policy"),
        continued: false,
    }
}
