//! What a guest can reach: the bodies of its call, the log, its notes. Nothing
//! here decides anything about a call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use wasmtime::UpdateDeadline;
use wasmtime::component::Resource;

use super::bindings::{OutputHandle, RequestHandle, exchange, host, types};
use super::engine::TICK;
use super::limits::{Limiter, Limits, Usage};
use super::notes::Notes;
use super::wasi::Wasi;
use super::{Clock, Finish, Material};
use crate::failover::time::Timestamp;

/// A guest that was not given the processor is not slow: beyond its limit a
/// call is measured in processor time, but never for longer than this.
const PREEMPTED_MAX: Duration = Duration::from_millis(40);

/// Whose guest it is; the same for all calls of a policy.
#[derive(Clone)]
pub struct Owner {
    pub name: Arc<str>,
    pub notes: Arc<Notes>,
    pub log: Arc<LogBudget>,
    pub clock: Clock,
}

/// The data of a store: one call's at a time.
pub struct Sandbox {
    owner: Owner,
    pub limiter: Limiter,
    material: Option<Material>,
    log: LogLines,
    stopwatch: Stopwatch,
    pub wasi: Option<Box<Wasi>>,
}

impl Sandbox {
    pub fn new(owner: Owner, limits: &Limits, usage: Arc<Usage>) -> Self {
        Self {
            limiter: Limiter::new(limits, usage),
            material: None,
            log: LogLines::new(&owner, limits),
            stopwatch: Stopwatch::new(limits.time),
            wasi: None,
            owner,
        }
    }

    /// Shows the guest this call, and only this one.
    pub fn begin(&mut self, material: Material) {
        self.material = Some(material);
        self.log.begin();
        self.stopwatch.begin();
    }

    pub fn end(&mut self) {
        self.material = None;
        self.wasi = None;
    }

    pub fn log(&self) -> LogLines {
        self.log.clone()
    }

    /// Epochs until `overdue` is asked for the first time.
    pub fn first_deadline(&self) -> u64 {
        self.stopwatch.half
    }

    /// What to do when the epochs granted have passed.
    pub fn overdue(&mut self) -> UpdateDeadline {
        self.stopwatch.overdue()
    }

    fn material(&self) -> wasmtime::Result<&Material> {
        self.material.as_ref().ok_or_else(|| wasmtime::format_err!("no call is under way"))
    }

    fn output(&self) -> wasmtime::Result<&dyn super::OutputView> {
        self.material()?
            .output
            .as_deref()
            .ok_or_else(|| wasmtime::format_err!("no answer is there yet"))
    }
}

impl types::Host for Sandbox {}
impl exchange::Host for Sandbox {}

impl exchange::HostRequest for Sandbox {
    fn header(
        &mut self,
        _: Resource<RequestHandle>,
        name: String,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.material()?.request.header(&name))
    }

    fn json(
        &mut self,
        _: Resource<RequestHandle>,
        pointer: String,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.material()?.request.json(&pointer))
    }

    fn drop(&mut self, _: Resource<RequestHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl exchange::HostOutput for Sandbox {
    fn complete(&mut self, _: Resource<OutputHandle>) -> wasmtime::Result<bool> {
        Ok(self.output()?.complete())
    }

    fn text(
        &mut self,
        _: Resource<OutputHandle>,
        offset: u32,
        limit: u32,
    ) -> wasmtime::Result<String> {
        Ok(self.output()?.text(offset, limit))
    }

    fn text_length(&mut self, _: Resource<OutputHandle>) -> wasmtime::Result<u32> {
        Ok(self.output()?.text_length())
    }

    fn tool_calls(
        &mut self,
        _: Resource<OutputHandle>,
    ) -> wasmtime::Result<Vec<exchange::ToolCall>> {
        let calls = self.output()?.tool_calls();
        let call = |call: super::ToolCall| exchange::ToolCall {
            name: call.name,
            arguments: call.arguments,
        };
        Ok(calls.into_iter().map(call).collect())
    }

    fn finish(&mut self, _: Resource<OutputHandle>) -> wasmtime::Result<exchange::Finish> {
        Ok(match self.output()?.finish() {
            Finish::Stop => exchange::Finish::Stop,
            Finish::Length => exchange::Finish::Length,
            Finish::ToolCalls => exchange::Finish::ToolCalls,
            Finish::ContentFilter => exchange::Finish::ContentFilter,
            Finish::Refusal => exchange::Finish::Refusal,
            Finish::Other => exchange::Finish::Other,
            Finish::Unfinished => exchange::Finish::Unfinished,
        })
    }

    fn violations(
        &mut self,
        _: Resource<OutputHandle>,
        schema: String,
    ) -> wasmtime::Result<Vec<String>> {
        Ok(self.output()?.violations(&schema))
    }

    fn drop(&mut self, _: Resource<OutputHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl host::Host for Sandbox {
    fn log(&mut self, level: host::Level, message: String) -> wasmtime::Result<()> {
        self.log.line(level, &message);
        Ok(())
    }

    fn recall(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        let now = (self.owner.clock)();
        Ok(self.owner.notes.recall(&key, now))
    }

    fn remember(&mut self, key: String, value: String, ttl: u32) -> wasmtime::Result<()> {
        let now = (self.owner.clock)();
        let ttl = Duration::from_millis(ttl.into());
        if let Err(not_kept) = self.owner.notes.remember(key, value, ttl, now) {
            self.log.line(host::Level::Warn, &format!("not remembered: {not_kept:?}"));
        }
        Ok(())
    }

    fn tally(&mut self, key: String, delta: i32, ttl: u32) -> wasmtime::Result<i32> {
        let now = (self.owner.clock)();
        Ok(self.owner.notes.tally(key, delta, Duration::from_millis(ttl.into()), now))
    }
}

/// What a guest writes to the log: so many lines a call, each cut, without the
/// control characters that would make one line look like several.
#[derive(Clone)]
pub struct LogLines {
    policy: Arc<str>,
    clock: Clock,
    budget: Arc<LogBudget>,
    left: Arc<AtomicU32>,
    lines: u32,
    bytes: usize,
}

impl fmt::Debug for LogLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLines").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// The lines that all instances of one policy may still write in this second:
/// each call has few, but there may be thousands of calls.
#[derive(Debug, Default)]
pub struct LogBudget {
    second: AtomicU64,
    written: AtomicU32,
}

/// Lines a policy may write in a second, whatever the number of its calls.
const LINES_PER_SECOND: u32 = 256;

impl LogBudget {
    /// Takes a line, if one is left. Two guests that begin a second at once may
    /// write a few more.
    fn take(&self, now: Timestamp) -> bool {
        let second = now.since_origin().as_secs();
        if self.second.swap(second, Relaxed) != second {
            self.written.store(0, Relaxed);
        }
        self.written.load(Relaxed) < LINES_PER_SECOND
            && self.written.fetch_add(1, Relaxed) < LINES_PER_SECOND
    }
}

impl LogLines {
    fn new(owner: &Owner, limits: &Limits) -> Self {
        let Owner { name, log, clock, notes: _ } = owner.clone();
        let (lines, bytes) = (limits.log_lines, limits.log_line_bytes);
        Self { policy: name, clock, budget: log, left: Arc::default(), lines, bytes }
    }

    fn begin(&self) {
        self.left.store(self.lines, Relaxed);
    }

    pub fn line(&self, level: host::Level, message: &str) {
        // One guest writes at a time, so reading and writing need not be one step.
        let left = self.left.load(Relaxed);
        if left == 0 {
            return;
        }
        self.left.store(left - 1, Relaxed);
        if !self.budget.take((self.clock)()) {
            return;
        }
        let message = clean(message, self.bytes);
        let policy = &*self.policy;
        match level {
            host::Level::Debug => tracing::debug!(target: "policy", policy, "{message}"),
            host::Level::Info => tracing::info!(target: "policy", policy, "{message}"),
            host::Level::Warn => tracing::warn!(target: "policy", policy, "{message}"),
        }
        if left == 1 {
            tracing::debug!(target: "policy", policy, "further lines of this call are left out");
        }
    }
}

/// The beginning of a guest's text, fit for a log.
pub fn clean(text: &str, bytes_max: usize) -> String {
    let mut cleaned = String::new();
    for character in text.trim_end().chars() {
        if cleaned.len() + character.len_utf8() > bytes_max {
            cleaned.push('…');
            break;
        }
        cleaned.push(if character.is_control() { ' ' } else { character });
    }
    cleaned
}

/// Measures a call against its time limit.
///
/// Epochs pass with the wall clock. On a busy machine a guest may not have run
/// at all while they did, and a policy that is set aside for that would be set
/// aside when it is needed most. So the second half of the limit is granted in
/// processor time.
#[derive(Debug)]
struct Stopwatch {
    /// Epochs in half the limit.
    half: u64,
    limit: Duration,
    halftime: Option<Duration>,
    extra_ticks: u64,
}

impl Stopwatch {
    fn new(limit: Duration) -> Self {
        let ticks = limit.as_nanos().div_ceil(TICK.as_nanos());
        let half = u64::try_from(ticks / 2).unwrap_or(u64::MAX).max(1);
        Self { half, limit, halftime: None, extra_ticks: 0 }
    }

    fn begin(&mut self) {
        self.halftime = None;
        self.extra_ticks = 0;
    }

    fn overdue(&mut self) -> UpdateDeadline {
        let used = processor_time();
        let Some(halftime) = self.halftime else {
            self.halftime = Some(used);
            return UpdateDeadline::Continue(self.half + 1);
        };
        let spent = used.saturating_sub(halftime);
        let preempted = TICK.saturating_mul(u32::try_from(self.extra_ticks).unwrap_or(u32::MAX));
        if spent >= self.limit / 2 || preempted >= PREEMPTED_MAX {
            return UpdateDeadline::Interrupt;
        }
        self.extra_ticks += 1;
        UpdateDeadline::Continue(1)
    }
}

/// Processor time of this thread so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_cut_and_freed_of_control_characters() {
        assert_eq!(clean("a\u{1b}[31mb\nc\n", 100), "a [31mb c");
        assert_eq!(clean("äöü", 4), "äö…");
    }

    #[test]
    fn all_calls_of_a_policy_share_the_lines_of_a_second() {
        let budget = LogBudget::default();
        let written = |second| {
            let now = Timestamp::from_origin(Duration::from_secs(second));
            (0..1_000).filter(|_| budget.take(now)).count()
        };
        assert_eq!(written(1), 256);
        assert_eq!(written(1), 0);
        assert_eq!(written(2), 256);
    }

    #[test]
    fn a_guest_that_did_not_run_is_given_more_time_but_not_for_ever() {
        let mut watch = Stopwatch::new(Duration::from_millis(4));
        watch.begin();
        assert!(matches!(watch.overdue(), UpdateDeadline::Continue(3)));
        let mut granted = 0;
        while let UpdateDeadline::Continue(_) = watch.overdue() {
            granted += 1;
        }
        // This loop itself uses some processor time, but far less than a tick each.
        assert!((1..=40).contains(&granted), "{granted}");
    }
}
