//! Every fault of a provider, through the gateway, with a healthy second
//! target: the client gets the whole answer exactly once, in bounded time, and
//! no provider is asked more often than the design allows. Every row is run
//! again without the protection, and must then fail the same check.

use std::time::Duration;

use backstay::fake::{DEFAULT_WORDS, Server, answer};
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::support::client::{Reply, ask, chat};
use crate::support::gateway::{CHUNK, FIRST_TOKEN, Gateway, Setup, WHOLE, asked, key_of, provider};
use crate::support::said::Said;

/// Calls at a time: more would measure the machine.
const AT_ONCE: usize = 16;
/// What a busy machine may add to a time limit. Less than the limits, so that
/// one limit is told from two.
const SLACK: Duration = Duration::from_millis(1400);
/// For answers that wait for no limit.
const QUICK: Duration = Duration::from_millis(2500);

/// Who answers in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The second target, after the first was asked so often.
    Second(usize),
    /// The first target, asked so often.
    First(usize),
    /// The first begins and the second goes on.
    Continued,
    /// The first's own words are the answer, with this status.
    Refused(u16),
}
use Then::{Continued, First, Refused, Second};

/// What is waited for on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Nothing,
    /// One limit of the gateway's: the first token's or the whole answer's.
    Answer,
    Chunk,
    /// The terminator that does not come.
    Terminator,
    /// So many error bodies that do not end.
    ErrorBodies(u32),
}
use Wait::{Answer, Chunk, ErrorBodies, Nothing, Terminator};

/// A fault; what follows for a whole answer, and for a stream.
type Row = (&'static str, (Then, Wait), (Then, Wait));

const fn both(fault: &'static str, then: Then, wait: Wait) -> Row {
    (fault, (then, wait), (then, wait))
}

const fn each(fault: &'static str, whole: Then, streamed: Then) -> Row {
    (fault, (whole, Nothing), (streamed, Nothing))
}

const ROWS: &[Row] = &[
    both("ok", First(1), Nothing),
    // Refusals before the answer.
    both("429", Second(1), Nothing),
    both("429:retry-after=2", Second(1), Nothing),
    both("429:retry-after-date=30s", Second(1), Nothing),
    both("429:retry-after=3600", Second(1), Nothing),
    both("429:retry-after=nonsense", Second(1), Nothing),
    both("429:reset=1m30s", Second(1), Nothing),
    both("500+once", First(2), Nothing),
    both("500", Second(2), Nothing),
    both("502", Second(2), Nothing),
    both("503", Second(1), Nothing),
    both("overloaded", Second(1), Nothing),
    both("504", Second(1), Nothing),
    both("context-length", Second(1), Nothing),
    both("unauthorized", Second(1), Nothing),
    both("payment", Second(1), Nothing),
    both("quota", Second(1), Nothing),
    both("forbidden", Second(1), Nothing),
    both("model-not-found", Second(1), Nothing),
    both("big-error", Second(2), Nothing),
    both("big-error:status=503", Second(1), Nothing),
    both("dribble-error", Second(2), ErrorBodies(2)),
    both("html-502", Second(2), Nothing),
    both("redirect", Second(1), Nothing),
    both("bad-request", Refused(400), Nothing),
    both("content-filter", Refused(400), Nothing),
    // Connections.
    both("reset", Second(2), Nothing),
    both("reset+once", First(2), Nothing),
    both("close", Second(2), Nothing),
    both("garbage", Second(2), Nothing),
    both("silence", Second(1), Answer),
    both("headers-only", Second(1), Answer),
    both("huge-header", First(1), Nothing),
    // Time.
    both("slow:delay=40s", Second(1), Answer),
    both("slow-first:delay=40s", Second(1), Answer),
    both("slow-first:delay=300ms", First(1), Nothing),
    both("comments", Second(1), Answer),
    // Bodies that are no answers.
    each("error-body", Second(1), Second(1)),
    both("empty-body", Second(1), Nothing),
    both("html-200", Second(1), Nothing),
    both("empty-answer", Second(1), Nothing),
    each("json-for-stream", First(1), First(1)),
    each("short-body", Second(1), Continued),
    each("truncated-json", Second(1), Continued),
    // Streams.
    both("error-first", Second(1), Nothing),
    both("empty-stream", Second(1), Nothing),
    each("cut-reset", Second(1), Continued),
    each("cut-clean", Second(1), Continued),
    each("cut-fin", Second(1), Continued),
    each("cut-reset:after=0", Second(1), Second(1)),
    each("cut-clean:after=0", Second(1), Second(1)),
    each("cut-fin:after=1", Second(1), Continued),
    each("cut-reset:after=59", Second(1), Continued),
    each("malformed", Second(1), Continued),
    each("bad-chunking", Second(1), Continued),
    each("error-mid", Second(1), Continued),
    ("stall", (Second(1), Answer), (Continued, Chunk)),
    ("stall:after=0", (Second(1), Answer), (Second(1), Answer)),
    each("no-done", First(1), First(1)),
    ("no-done:end=open", (First(1), Nothing), (First(1), Terminator)),
];

/// What the second target is like.
#[derive(Clone, Copy, Debug)]
struct Rescuer {
    /// Of the target's table in the configuration.
    table: &'static str,
    /// Of the fake provider.
    behaviour: &'static str,
}

const RESCUERS: [Rescuer; 5] = [
    // It goes on from a partial answer, or says it all again …
    Rescuer { table: "features = [\"streaming\", \"prefill\"]", behaviour: "continues=exact" },
    Rescuer { table: "features = [\"streaming\", \"prefill\"]", behaviour: "continues=restart" },
    // … or it has to be asked for the rest, and may repeat the last words as well.
    Rescuer { table: "features = [\"streaming\"]", behaviour: "prefill=off+continues=exact" },
    Rescuer { table: "features = [\"streaming\"]", behaviour: "prefill=off+continues=restart" },
    Rescuer { table: "features = [\"streaming\"]", behaviour: "prefill=off+continues=overlap" },
];

/// One call.
#[derive(Clone, Debug)]
struct Case {
    route: String,
    fault: &'static str,
    streamed: bool,
    then: Then,
    wait: Wait,
    rescuer: Rescuer,
}

/// All calls: of a fault that shows before the commit, one with a second target
/// that takes a partial answer and one with another.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (fault, whole, streamed) in ROWS {
        for (streams, (then, wait)) in [(false, *whole), (true, *streamed)] {
            for (n, rescuer) in RESCUERS.into_iter().enumerate() {
                if then != Continued && !matches!(n, 0 | 2) {
                    continue;
                }
                let route = format!("{}{}", if streams { "s" } else { "w" }, cases.len());
                cases.push(Case { route, fault, streamed: streams, then, wait, rescuer });
            }
        }
    }
    cases
}

impl Case {
    /// The model at the first provider: its own for every case, so that no case
    /// sees another's health or count.
    fn first_model(&self) -> String {
        format!("{}!{}", self.route, self.fault)
    }

    fn second_model(&self) -> String {
        format!("{}!{}", self.route, self.rescuer.behaviour)
    }

    fn prompt(&self) -> String {
        format!("What of {} in {}?", self.fault, self.route)
    }

    fn expected(&self) -> String {
        answer(&self.prompt(), DEFAULT_WORDS)
    }

    /// The route, with all protection.
    fn add(&self, setup: Setup, first: &Server) -> Setup {
        // Its own provider: what happens to a credential happens to all its targets.
        let own = format!("of-{}", self.route);
        let targets = [
            format!("{own}/{}", self.first_model()),
            format!("second/{} {}", self.second_model(), self.rescuer.table),
        ];
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        setup.provider(&own, first).route(&self.route, &targets)
    }

    /// The route, without.
    fn add_bare(&self, setup: Setup, first: &Server) -> Setup {
        let own = format!("of-{}", self.route);
        let target = format!("{own}/{}", self.first_model());
        let setup = setup.provider(&own, first);
        let lines = "rescue = \"error\"\ndeadline = \"3s\"\nrules = { attempts = 1 }";
        setup.route_with(&self.route, lines, &[&target])
    }

    /// `Err` says what is wrong with the reply.
    fn check(&self, reply: &Reply) -> Result<(), String> {
        match self.then {
            Refused(status) => self.check_refusal(reply, status)?,
            First(_) | Second(_) | Continued => self.check_answer(reply)?,
        }
        self.check_time(reply.took)
    }

    fn check_refusal(&self, reply: &Reply, status: u16) -> Result<(), String> {
        let code = reply.json()["error"]["code"].clone();
        let message = reply.json()["error"]["message"].clone();
        let meant = match self.fault {
            "content-filter" => ("content_filter", "content management policy"),
            _ => ("invalid_value", "Invalid value: 'messages[0].role'."),
        };
        let unchanged = code == meant.0 && message.as_str().unwrap_or_default().contains(meant.1);
        if reply.status == status && unchanged && reply.header("x-should-retry") == Some("false") {
            return Ok(());
        }
        Err(format!("{} {:?} {}", reply.status, reply.headers, reply.text()))
    }

    fn check_answer(&self, reply: &Reply) -> Result<(), String> {
        if reply.status != 200 || !reply.complete {
            return Err(format!("{} complete={} {}", reply.status, reply.complete, reply.text()));
        }
        let said = Said::of(reply);
        said.is_whole(&self.expected(), self.streamed)?;
        if said.ids.len() != 1 || said.models.len() != 1 {
            return Err(format!("of several answers: {:?} {:?}", said.ids, said.models));
        }
        let model =
            if let Second(_) = self.then { self.second_model() } else { self.first_model() };
        if !said.models.contains(&model) {
            return Err(format!("the model that answered is {model}, not {:?}", said.models));
        }
        Ok(())
    }

    fn check_time(&self, took: Duration) -> Result<(), String> {
        let limit = match self.wait {
            Nothing => Duration::ZERO,
            Answer if self.streamed => FIRST_TOKEN,
            Answer => WHOLE,
            Chunk => CHUNK,
            Terminator => Duration::from_millis(500),
            ErrorBodies(count) => Duration::from_secs(1) * count,
        };
        let most = if self.wait == Nothing { QUICK } else { limit + SLACK };
        if took < limit || took > most {
            return Err(format!("took {took:?}, wanted {limit:?} to {most:?}"));
        }
        Ok(())
    }

    /// What the gateway says of itself, and what the providers saw.
    fn check_attempts(&self, reply: &Reply, first: &Server, second: &Server) -> Result<(), String> {
        let (first_asked, second_asked) = match self.then {
            First(times) => (times, 0),
            Second(times) => (times, 1),
            Continued => (1, 1),
            Refused(_) => (1, 0),
        };
        // After the commit the head has gone out already.
        let attempts = if self.then == Continued { 1 } else { first_asked + second_asked };
        let target = match self.then {
            Second(_) => format!("second/{}", self.second_model()),
            First(_) | Continued | Refused(_) => {
                format!("of-{}/{}", self.route, self.first_model())
            }
        };
        let seen = (
            asked(first, &self.first_model()),
            asked(second, &self.second_model()),
            reply.header("x-backstay-attempts").unwrap_or_default().to_owned(),
            reply.header("x-backstay-target").unwrap_or_default().to_owned(),
        );
        let wanted = (first_asked, second_asked, attempts.to_string(), target);
        if seen != wanted {
            return Err(format!("asked, attempts, target: {seen:?}, wanted {wanted:?}"));
        }
        if self.then == Continued { self.check_closing(reply) } else { Ok(()) }
    }

    /// What is said just before the end is who finished the answer.
    fn check_closing(&self, reply: &Reply) -> Result<(), String> {
        let text = reply.text();
        let by = format!("finished-by=second/{}", self.second_model());
        let comment = |event: &&str| event.starts_with(": backstay ") && event.contains(&by);
        // The terminator, and the token counts and finish reason before it.
        let closing: Vec<&str> = text.trim_end().rsplit("\n\n").take(4).collect();
        if closing.iter().any(comment) {
            return Ok(());
        }
        Err(format!("no closing comment with {by}, but {closing:?}"))
    }
}

/// Makes the calls, some at a time, and gathers what is wrong with each.
async fn run<F>(cases: &[Case], gateway: &Gateway, check: F) -> Vec<String>
where
    F: Fn(&Case, &Reply) -> Result<(), String>,
{
    let calls = cases.iter().map(|case| async move {
        let call = chat(&case.route, &case.prompt(), case.streamed);
        (case, ask(gateway.addr, &call).await)
    });
    let replies = stream::iter(calls).buffer_unordered(AT_ONCE);
    let wrong = replies.filter_map(|(case, reply)| {
        let problem = check(case, &reply).err();
        let kind = if case.streamed { "streamed" } else { "whole" };
        let by = case.rescuer.behaviour;
        std::future::ready(problem.map(|p| format!("{} {kind}, {by}: {p}", case.fault)))
    });
    wrong.collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_gets_the_whole_answer_once() {
    let (first, second) = (provider("first", "ok"), provider("second", "ok"));
    let cases = cases();
    let setup = Setup::new().provider("second", &second);
    let setup = cases.iter().fold(setup, |setup, case| case.add(setup, &first));
    let gateway = setup.start().await;
    let wrong = run(&cases, &gateway, |case, reply| {
        case.check(reply)?;
        case.check_attempts(reply, &first, &second)?;
        let key = key_of(&format!("of-{}", case.route));
        let shown = format!("{:?}{}", reply.headers, reply.text());
        if shown.contains(&key) { Err("it shows the key".to_owned()) } else { Ok(()) }
    })
    .await;
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The control: what the gateway mended above is broken without it.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_second_target_the_same_checks_fail() {
    let first = provider("first", "ok");
    let mended = |case: &Case| matches!(case.then, Second(_) | Continued | First(2));
    // How the second target goes on makes no difference where there is none.
    let mut cases = cases();
    cases.retain(|case| mended(case) && case.rescuer.behaviour == "continues=exact");
    let setup = cases.iter().fold(Setup::new(), |setup, case| case.add_bare(setup, &first));
    let gateway = setup.start().await;
    let passed = run(&cases, &gateway, |case, reply| match case.check_answer(reply) {
        Ok(()) => Err("was answered although nothing protects it".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

/// The control for what the gateway mends without another target: a client of
/// the provider itself sees it.
#[tokio::test(flavor = "multi_thread")]
async fn straight_from_the_provider_the_same_checks_fail() {
    let first = provider("first", "ok");
    for fault in ["json-for-stream", "no-done"] {
        let call = chat(&format!("m!{fault}"), "hi", true);
        let said = Said::of(&ask(first.addr(), &call).await);
        let whole = said.is_whole(&answer("hi", DEFAULT_WORDS), true);
        assert!(whole.is_err(), "{fault}: {said:?}");
    }
}
