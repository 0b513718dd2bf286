//! One timer a call, moved only when it must be.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Sleep;

use crate::clock::Clock;
use crate::failover::Timestamp;

/// See the module.
#[derive(Default)]
pub struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Timestamp>,
}

impl Timer {
    /// Ready at `wake_at` or a little after a former one.
    pub fn poll(
        &mut self,
        wake_at: Option<Timestamp>,
        clock: &Clock,
        cx: &mut Context<'_>,
    ) -> Poll<Timestamp> {
        let Some(wake_at) = wake_at else { return Poll::Pending };
        let instant = clock.instant(wake_at);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(instant)));
        // A timer that rings too early is asked again; moving it for every
        // piece of a stream would cost more.
        if self.armed.is_none_or(|armed| wake_at < armed) {
            sleep.as_mut().reset(instant);
            self.armed = Some(wake_at);
        }
        loop {
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = clock.now();
            if now >= wake_at {
                self.armed = None;
                return Poll::Ready(now);
            }
            sleep.as_mut().reset(instant);
            self.armed = Some(wake_at);
        }
    }
}
