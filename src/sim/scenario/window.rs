//! Windows of time in which a provider is not itself.

use std::time::Duration;

use super::super::fault::Fault;
use crate::failover::Timestamp;

/// A stretch of time, its end not included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub from: Duration,
    pub until: Duration,
}

/// In which a provider fails more, or is slower.
#[derive(Clone, PartialEq, Debug)]
pub struct Window {
    pub span: Span,
    /// It comes again after so long.
    pub every: Option<Duration>,
    pub flap: Option<Flap>,
    /// Instead of the provider's own, unless empty.
    pub errors: Vec<(Fault, f64)>,
    /// Everything takes so many times as long.
    pub slower: f64,
    /// And the first token so much longer.
    pub adds: Duration,
    /// What is under way when it begins is cut.
    pub cuts: bool,
}

/// Within a window: for a while all is well, then it applies, and so on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flap {
    pub up: Duration,
    pub down: Duration,
}

impl Window {
    /// One that changes nothing.
    #[must_use]
    pub const fn over(span: Span) -> Self {
        Self {
            span,
            every: None,
            flap: None,
            errors: Vec::new(),
            slower: 1.0,
            adds: Duration::ZERO,
            cuts: false,
        }
    }

    /// Whether it applies now.
    #[must_use]
    pub fn applies(&self, now: Timestamp) -> bool {
        let Some(into) = self.into(now) else { return false };
        self.flap.is_none_or(|flap| rest(into, flap.up + flap.down) >= flap.up)
    }

    /// How far into it a time lies.
    fn into(&self, now: Timestamp) -> Option<Duration> {
        let since = now.since_origin().checked_sub(self.span.from)?;
        let since = self.every.map_or(since, |every| rest(since, every));
        (since < self.length()).then_some(since)
    }

    const fn length(&self) -> Duration {
        self.span.until.saturating_sub(self.span.from)
    }

    /// When it begins next, after `now`.
    #[must_use]
    pub fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        let first = Timestamp::from_origin(self.span.from);
        if now < first {
            return Some(first);
        }
        let every = self.every?;
        let since = now.since(first);
        Some(now - rest(since, every) + every)
    }

    /// All its occurrences before the end of a run, at most `most`.
    pub fn spans(&self, end: Duration, most: usize) -> impl Iterator<Item = Span> {
        let length = self.length();
        let every = self.every;
        let first = Some(self.span.from);
        std::iter::successors(first, move |from| every.map(|every| *from + every))
            .take_while(move |from| *from < end)
            .take(most)
            .map(move |from| Span { from, until: from + length })
    }
}

/// What is left of a length after whole periods.
fn rest(length: Duration, period: Duration) -> Duration {
    let nanos = length.as_nanos() % period.as_nanos().max(1);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn windows_repeat_and_flap() {
        let daily = Window {
            every: Some(secs(100)),
            ..Window::over(Span { from: secs(10), until: secs(20) })
        };
        let flapping = Window { flap: Some(Flap { up: secs(3), down: secs(1) }), ..daily.clone() };
        for (at, in_daily, in_flapping) in [
            (9, false, false),
            (10, true, false),
            (13, true, true),
            (14, true, false),
            (17, true, true),
            (20, false, false),
            (113, true, true),
            (209, false, false),
        ] {
            let now = Timestamp::from_millis(at * 1_000);
            assert_eq!(daily.applies(now), in_daily, "{at}");
            assert_eq!(flapping.applies(now), in_flapping, "{at}");
        }
        let start = |at: u64| daily.next_start(Timestamp::from_millis(at * 1_000));
        assert_eq!(start(5), Some(Timestamp::from_millis(10_000)));
        assert_eq!(start(10), Some(Timestamp::from_millis(110_000)));
        assert_eq!(start(115), Some(Timestamp::from_millis(210_000)));
        assert_eq!(daily.spans(secs(300), 99).count(), 3);
    }
}
