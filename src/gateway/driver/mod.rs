//! The live driver: performs the heart's actions with sockets and policies, and
//! tells it what happens. It has no opinion of its own.

mod recording;
mod refusing;
mod witness;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use super::Shared;
use super::generation::{Generation, LiveRoute};
use super::inquiry::{Change, Inquiry, Prepared, Shown};
use super::outlet::ClientGone;
use super::relay::{Forwarded, Relay};
use super::reply::{self, Stamp};
use super::running::{Amended, Running};
use super::timer::Timer;
use super::trace::End;
use super::trial::Part;
use crate::dialect::client::text_answer;
use crate::dialect::hub::Untranslatable;
use crate::dialect::translate::Refused;
use crate::dialect::{AnswerText, Head, edit, headers};
use crate::failover::consult::Edit;
use crate::failover::note::FaultKind;
use crate::failover::{
    Action, Answer, AttemptId, Call, CandidateId, Decider, Delivery, Event, Exchange, Note,
    Opinion, Outcome, Progress, Question, Start, Timestamp, Verb,
};
use crate::policy::{Material, Policy};
use crate::upstream::{Attempt, Headers, Piece, Report, WholeContent};

pub use witness::Witness;

/// What is held of a stream before its commit, at the most.
const MOST_HELD: usize = 32 << 20;

/// How often a call looks whether the gateway still waits for it: to be told
/// would cost every call more than that does a long one.
pub const LOOK: Duration = Duration::from_secs(1);

const JSON: &str = "application/json";

/// One call under way.
pub struct Driver {
    shared: Arc<Shared>,
    generation: Arc<Generation>,
    route: Arc<LiveRoute>,
    /// The route's own policy, if it has one that works.
    policy: Option<Arc<Policy>>,
    policy_tag: Arc<str>,
    inquiry: Arc<Inquiry>,
    call: Arc<Call>,
    exchange: Exchange,
    attempts: Vec<Running>,
    /// The attempt whose pieces go to the client.
    source: Option<AttemptId>,
    /// Answer text of the attempts before the present one.
    said: String,
    relay: Relay,
    consulting: Option<Consulting>,
    timer: Timer,
    /// Since when the client takes less than it is given.
    blocked: Option<Timestamp>,
    /// When to look whether the gateway ends.
    look_at: Timestamp,
    begun: Timestamp,
    notes: Vec<(Timestamp, Note)>,
    end: End,
    witness: Witness,
    /// In the trial of the route's canary.
    part: Option<Part>,
}

type Consulting = Pin<Box<dyn Future<Output = (u32, Opinion)> + Send>>;

/// What the driver waits for.
enum Happening {
    Event(Event),
    Report(AttemptId, Report),
    Room,
}

/// All a call needs.
pub struct Setup {
    pub shared: Arc<Shared>,
    pub generation: Arc<Generation>,
    pub route: Arc<LiveRoute>,
    pub policy: Option<Arc<Policy>>,
    pub policy_tag: Arc<str>,
    pub inquiry: Arc<Inquiry>,
    pub call: Arc<Call>,
    pub relay: Relay,
    pub witness: Witness,
    pub part: Option<Part>,
}

impl Driver {
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let Setup { shared, generation, route, policy, policy_tag, inquiry, call, relay, .. } =
            setup;
        let (witness, part) = (setup.witness, setup.part);
        let begun = shared.clock.now();
        let exchange = Exchange::new(Arc::clone(&call), Arc::clone(&route.rules), begun);
        Self {
            shared,
            generation,
            route,
            policy,
            policy_tag,
            inquiry,
            call,
            exchange,
            attempts: Vec::new(),
            source: None,
            said: String::new(),
            relay,
            consulting: None,
            timer: Timer::default(),
            blocked: None,
            look_at: begun + LOOK,
            begun,
            notes: Vec::new(),
            end: End::ClientGone,
            witness,
            part,
        }
    }

    /// Serves the call to its end.
    pub async fn run(mut self) {
        self.feed(Event::Begin);
        while !self.exchange.is_over() {
            match poll_fn(|cx| self.poll_happening(cx)).await {
                Happening::Event(event) => self.feed(event),
                Happening::Report(id, report) => self.reported(id, report),
                Happening::Room => self.unblock(),
            }
        }
        self.close();
    }

    /// Tells the heart, does what it says, and tells it what came of that.
    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            if let Event::Answered(answer) = &event {
                self.witness.answered(&answer.opinion);
            }
            let now = self.shared.clock.now();
            for action in self.exchange.on(event, now) {
                events.extend(self.perform(action, now));
            }
        }
    }

    fn perform(&mut self, action: Action, now: Timestamp) -> Option<Event> {
        match action {
            Action::Consult(question) => return self.consult(*question),
            Action::Start(start) => return self.start(start),
            Action::Abort(id) => self.attempts[id.index()].stop(),
            Action::Deliver(delivery) => return self.deliver(delivery),
            Action::Finish => self.finish(),
            Action::Refuse(refusal) => self.refuse(refusal),
            Action::Park => self.park(),
            Action::Record(note) => self.record(note, now),
        }
        None
    }

    fn consult(&mut self, question: Question) -> Option<Event> {
        let number = question.number;
        let policy = match (question.decider, &self.policy) {
            (Decider::Policy, Some(policy)) => Arc::clone(policy),
            (Decider::Policy | Decider::BuiltIn | Decider::Fallback, _) => {
                self.shared.library.builtin()
            }
        };
        let material = self.material(&question);
        self.witness.asked(&question, &material);
        if policy.quick() {
            let opinion = policy.ask(&question, &material);
            return Some(Event::Answered(Answer { number, opinion }));
        }
        let asking = async move { (number, policy.ask_anywhere(&question, &material).await) };
        self.consulting = Some(Box::pin(asking));
        None
    }

    fn material(&self, question: &Question) -> Material {
        let output = match question.verb {
            Verb::SelectProvider | Verb::ClassifyError { .. } => None,
            Verb::ValidateOutput { attempt, complete, .. } => {
                Some(super::output::shown(self.answer_of(attempt), complete))
            }
        };
        Material {
            call: Arc::clone(&self.call),
            route: Arc::clone(&self.route.name),
            settings: Arc::clone(&self.route.settings),
            request: Arc::new(Shown(Arc::clone(&self.inquiry))),
            output,
        }
    }

    /// The answer as the client has it, or will.
    fn answer_of(&self, id: AttemptId) -> Arc<AnswerText> {
        let running = &self.attempts[id.index()];
        let answer = running.delivered_text();
        if !running.continues {
            return answer;
        }
        Arc::new(answer.with_text(format!("{}{}", self.said, self.relay.spliced())))
    }

    /// Brings `said` up to what the client has.
    fn catch_up(&mut self) {
        let Some(id) = self.source else { return };
        let source = &self.attempts[id.index()];
        if source.continues {
            self.said.push_str(&self.relay.take_spliced());
        } else {
            self.said.clone_from(&source.delivered_text().text);
        }
    }

    fn start(&mut self, start: Start) -> Option<Event> {
        let Start { attempt, candidate, continues, edits } = start;
        if continues {
            self.catch_up();
        }
        let (upstream, dropped, refused) = match self.attempt(candidate, continues, &edits) {
            Ok((upstream, dropped)) => (Some(upstream), dropped, None),
            Err(unsent) => (None, Vec::new(), Some(unsent)),
        };
        let now = self.shared.clock.now();
        self.attempts.push(Running::new(candidate, continues, upstream, dropped, now));
        refused.map(|outcome| Event::Ended(attempt, outcome))
    }

    /// The attempt, and what its target was not sent.
    fn attempt(
        &mut self,
        candidate: CandidateId,
        continues: bool,
        edits: &[Edit],
    ) -> Result<(Attempt, Vec<String>), Outcome> {
        let Prepared { body, headers, expect, dropped } = self.prepare(candidate, continues)?;
        let body = if edits.is_empty() { body } else { self.edited(body, edits) };
        let endpoint = &self.route.targets[candidate.index()].endpoint;
        let attempt = Attempt::new(endpoint, expect, headers, body);
        let attempt = attempt.ok_or_else(|| {
            let field = self.inquiry.task.label();
            unsent(Untranslatable::new(field, "the provider has no such API").into())
        })?;
        Ok((attempt, dropped))
    }

    /// The body after a policy's edits. Ones that cannot be made in it are a
    /// fault of the policy: what the built-in would send is sent.
    fn edited(&mut self, body: Bytes, edits: &[Edit]) -> Bytes {
        match edit::edit(&body, edits) {
            Ok(edited) => edited,
            Err(error) => {
                let (verb, decider) = (Verb::SelectProvider.label(), Decider::Policy);
                let reason = error.to_string();
                let fault = FaultKind::Inadmissible;
                let fault = Note::Faulted { verb, decider, reason, fault };
                self.record(fault, self.shared.clock.now());
                body
            }
        }
    }

    fn prepare(&self, candidate: CandidateId, continues: bool) -> Result<Prepared, Outcome> {
        let facts = &self.route.rules.candidates[candidate.index()].facts;
        let target = &self.route.targets[candidate.index()];
        let asked_before = self.attempts.first().map(|first| self.provider_of(first.candidate));
        let change = Change {
            target,
            model: &facts.model,
            strictness: self.route.strictness,
            continues: continues.then_some((self.said.as_str(), facts.continuation(&self.call))),
            first_provider: asked_before.is_none_or(|provider| provider == facts.provider),
            unix_now: self.shared.clock.unix(),
        };
        self.inquiry.prepare(&change).map_err(unsent)
    }

    fn provider_of(&self, candidate: CandidateId) -> &str {
        &self.route.rules.candidates[candidate.index()].facts.provider
    }

    fn poll_happening(&mut self, cx: &mut Context<'_>) -> Poll<Happening> {
        let blocked = self.blocked.is_some();
        match self.relay.poll_client(blocked, cx) {
            Poll::Ready(Err(ClientGone)) => {
                return Poll::Ready(Happening::Event(Event::ClientGone));
            }
            Poll::Ready(Ok(())) => return Poll::Ready(Happening::Room),
            Poll::Pending => {}
        }
        if let Some(consulting) = &mut self.consulting
            && let Poll::Ready((number, opinion)) = consulting.as_mut().poll(cx)
        {
            self.consulting = None;
            let answer = Answer { number, opinion };
            return Poll::Ready(Happening::Event(Event::Answered(answer)));
        }
        for (id, running) in (0..).map(AttemptId).zip(&mut self.attempts) {
            // A client that does not read stops the reading of its provider.
            if blocked && self.source == Some(id) {
                continue;
            }
            if let Some(upstream) = &mut running.upstream
                && let Poll::Ready(report) = upstream.poll_report(cx)
            {
                return Poll::Ready(Happening::Report(id, report));
            }
        }
        let patience = self.generation.config.server.write_timeout;
        let given_up = self.blocked.map(|since| since + patience);
        let wake_at = self.exchange.wake_at().into_iter().chain(given_up).chain([self.look_at]);
        let now = std::task::ready!(self.timer.poll(wake_at.min(), &self.shared.clock, cx));
        if now >= self.look_at {
            self.look_at = now + LOOK;
        }
        let event = if self.shared.is_halted() {
            Event::Halted
        } else if given_up.is_some_and(|at| at <= now) {
            Event::ClientGone
        } else {
            Event::Woke
        };
        Poll::Ready(Happening::Event(event))
    }

    fn unblock(&mut self) {
        self.blocked = None;
        if let Some(id) = self.source {
            self.feed(Event::Progress(id, Progress::Unblocked));
        }
    }

    fn reported(&mut self, id: AttemptId, report: Report) {
        match report {
            Report::Headers(headers) => self.headed(id, *headers),
            Report::Pieces(pieces) => self.streamed(id, pieces),
            Report::Whole(whole) => self.attempts[id.index()].complete(*whole),
            Report::Overflow(bytes) => self.overflowed(id, bytes),
            Report::Ended(outcome, error) => {
                let running = &mut self.attempts[id.index()];
                running.stop();
                running.error = error;
                self.feed(Event::Ended(id, outcome));
            }
        }
    }

    fn headed(&mut self, id: AttemptId, headers: Headers) {
        let running = &mut self.attempts[id.index()];
        let Headers { forwarded, requests_left, tokens_left } = headers;
        running.headers = forwarded;
        headers::name_request_id(&mut running.headers, self.inquiry.dialect);
        if requests_left.is_some() || tokens_left.is_some() {
            let candidate = &self.route.rules.candidates[running.candidate.index()];
            let now = self.shared.clock.now();
            candidate.target.rate_limits(requests_left, tokens_left, now);
        }
        self.feed(Event::Progress(id, Progress::Headers));
    }

    fn streamed(&mut self, id: AttemptId, pieces: Vec<Piece>) {
        let forwarded = if self.source == Some(id) {
            self.forward(id, pieces)
        } else {
            Ok(self.attempts[id.index()].hold(pieces))
        };
        match forwarded {
            Ok(forwarded) => self.progressed(id, forwarded),
            Err(event) => self.feed(event),
        }
    }

    /// Passes pieces to the client; a continuation that does not fit ends there.
    fn forward(&mut self, id: AttemptId, pieces: Vec<Piece>) -> Result<Forwarded, Event> {
        match self.relay.forward(pieces) {
            Ok(forwarded) => Ok(forwarded),
            Err(misfit) => {
                self.attempts[id.index()].stop();
                Err(Event::Ended(id, Outcome::Malformed { detail: misfit.to_string() }))
            }
        }
    }

    fn progressed(&mut self, id: AttemptId, forwarded: Forwarded) {
        let Forwarded { text, content, continuable, finished } = forwarded;
        if content {
            let blank = self.attempts[id.index()].is_blank();
            self.feed(Event::Progress(id, Progress::Content { text, blank, continuable }));
        }
        if finished {
            self.feed(Event::Progress(id, Progress::Finished));
        }
        let running = &self.attempts[id.index()];
        if running.held_bytes > MOST_HELD && !running.overflowing {
            self.attempts[id.index()].overflowing = true;
            self.feed(Event::Progress(id, Progress::Overflow));
        }
        if self.source == Some(id) && self.blocked.is_none() && self.relay.is_full() {
            self.blocked = Some(self.shared.clock.now());
            self.feed(Event::Progress(id, Progress::Blocked));
        }
    }

    fn overflowed(&mut self, id: AttemptId, bytes: Bytes) {
        if self.source == Some(id) {
            self.relay.pass(bytes);
            self.progressed(id, Forwarded { content: true, ..Forwarded::nothing() });
            return;
        }
        let running = &mut self.attempts[id.index()];
        running.overflow.push(bytes);
        if !running.overflowing {
            running.overflowing = true;
            self.feed(Event::Progress(id, Progress::Overflow));
        }
    }

    fn deliver(&mut self, delivery: Delivery) -> Option<Event> {
        match delivery {
            Delivery::Text(text) => {
                self.end = End::Answered;
                self.answer_with(&text);
                None
            }
            Delivery::Attempt { attempt, amended } => self.deliver_attempt(attempt, amended),
        }
    }

    fn head(&self) -> Head {
        self.inquiry.head(&self.call.id, self.shared.clock.unix())
    }

    /// The policy's own answer.
    fn answer_with(&mut self, text: &str) {
        let stamp = self.stamp(None);
        let dialect = self.inquiry.dialect;
        let answer = text_answer(text);
        let (content_type, body) = if self.inquiry.streams() {
            (self.inquiry.stream_type(), dialect.write_stream(answer, self.head()))
        } else {
            (JSON, dialect.write_answer(&answer, &self.head()))
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.relay.whole(headers, &stamp, body);
    }

    /// A complete answer as the client is to have it.
    fn body_of(&self, content: WholeContent, amended: Option<&str>) -> Bytes {
        let dialect = self.inquiry.dialect;
        match content {
            WholeContent::Bytes(body) => match amended {
                Some(text) => dialect.amend(&body, text),
                None => body,
            },
            WholeContent::Answer(mut answer) => {
                if let Some(text) = amended {
                    answer.replace_text(text);
                }
                dialect.write_answer(&answer, &self.head())
            }
            WholeContent::Embeddings(embeddings) => self.inquiry.write_embeddings(embeddings),
        }
    }

    fn deliver_attempt(&mut self, id: AttemptId, amended: Option<String>) -> Option<Event> {
        let mut stamp = self.stamp(Some(id));
        self.source = Some(id);
        let running = &mut self.attempts[id.index()];
        if running.continues {
            let candidate = running.candidate;
            let held = std::mem::take(&mut running.held);
            let facts = &self.route.rules.candidates[candidate.index()].facts;
            let asked = facts.continuation(&self.call);
            let endpoint = &self.route.targets[candidate.index()].endpoint;
            let shown = endpoint.wire(self.inquiry.dialect).shown(&self.said, asked);
            self.relay.continue_after(&self.said, shown.len(), asked);
            return self.forward(id, held).err();
        }
        let mut headers = std::mem::take(&mut running.headers);
        if let Some(content) = running.whole.take() {
            if !matches!(content, WholeContent::Bytes(_)) {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
            }
            if let WholeContent::Answer(answer) = &content {
                stamp.dropped.extend(answer.opaque().into_iter().map(str::to_owned));
            }
            let body = self.body_of(content, amended.as_deref());
            self.relay.whole(headers, &stamp, body);
            return None;
        }
        if self.inquiry.streams() {
            reply::stream_headers(&mut headers, self.inquiry.stream_type());
        }
        let events = running.overflow.is_empty();
        let head = self.inquiry.head(&self.call.id, self.shared.clock.unix());
        self.relay.open(headers, &stamp, head, events);
        for bytes in std::mem::take(&mut running.overflow) {
            self.relay.pass(bytes);
        }
        let pieces = std::mem::take(&mut running.held);
        running.held_bytes = 0;
        match amended {
            Some(text) => {
                self.relay.forward_amended(pieces, &text);
                running.amended = Some(Amended { text, replaced: running.held_text });
            }
            None => return self.forward(id, pieces).err(),
        }
        None
    }

    fn finish(&mut self) {
        self.end = End::Delivered;
        let note = self.source.filter(|id| self.attempts[id.index()].continues).map(|id| {
            let stamp = self.stamp(Some(id));
            format!(
                "backstay finished-by={} attempts={} trace={}",
                stamp.target, stamp.attempts, stamp.trace
            )
        });
        self.relay.finish(note.as_deref());
    }

    /// Who serves: the given attempt, else the last one.
    fn stamp(&self, attempt: Option<AttemptId>) -> Stamp {
        let running = match attempt {
            Some(id) => self.attempts.get(id.index()),
            None => self.attempts.last(),
        };
        Stamp {
            trace: self.call.id.clone(),
            target: running.map_or("none", |r| self.target_name(r.candidate)).to_owned(),
            attempts: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX),
            policy: self.policy_tag.to_string(),
            dropped: running.map(|running| running.dropped.clone()).unwrap_or_default(),
        }
    }

    fn target_name(&self, candidate: CandidateId) -> &str {
        &self.route.rules.candidates[candidate.index()].facts.target
    }
}

/// Why a request was not sent.
fn unsent(refused: Refused) -> Outcome {
    match refused {
        Refused::Bad(bad) => Outcome::Unreadable {
            field: bad.param.unwrap_or("body").to_owned(),
            detail: bad.message,
        },
        Refused::Untranslatable(why) => {
            Outcome::Unsupported { detail: why.to_string(), field: why.field }
        }
    }
}
