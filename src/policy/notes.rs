//! What a policy remembers between calls: a small store for each name, shared
//! by all versions and instances of it. Every entry expires.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::failover::time::Timestamp;

const ENTRIES_MAX: usize = 1_000;
const KEY_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 64 << 10;
const TOTAL_BYTES_MAX: usize = 4 << 20;
const TTL_MAX: Duration = Duration::from_hours(24);

/// Why something was not remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotKept {
    TooLarge,
    Full,
}

/// The store of one policy.
#[derive(Debug, Default)]
pub struct Notes {
    /// Whether a policy ever asked for anything here.
    used: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<String, Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    value: String,
    expires: Timestamp,
}

impl Notes {
    pub fn used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    pub fn recall(&self, key: &str, now: Timestamp) -> Option<String> {
        let inner = self.lock();
        inner.entries.get(key).filter(|entry| now < entry.expires).map(|e| e.value.clone())
    }

    pub fn remember(
        &self,
        key: String,
        value: String,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<(), NotKept> {
        self.lock().insert(key, value, now + ttl.min(TTL_MAX), now)
    }

    /// Adds to a counter, which starts at zero, and returns its new value. The
    /// first tally decides when it expires.
    pub fn tally(&self, key: String, delta: i32, ttl: Duration, now: Timestamp) -> i32 {
        let mut inner = self.lock();
        let old = inner.entries.get(&key).filter(|entry| now < entry.expires);
        let expires = old.map_or(now + ttl.min(TTL_MAX), |entry| entry.expires);
        let count = old.and_then(|entry| entry.value.parse::<i32>().ok()).unwrap_or(0);
        let count = count.saturating_add(delta);
        // A new counter that finds no room starts again each time, as an expired one would.
        let _ = inner.insert(key, count.to_string(), expires, now);
        count
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.used.store(true, Ordering::Relaxed);
        // A panic elsewhere leaves at worst a byte count that is too high.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(
        &mut self,
        key: String,
        value: String,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(), NotKept> {
        if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err(NotKept::TooLarge);
        }
        if !self.has_room(&key, &value) {
            self.drop_expired(now);
        }
        if !self.has_room(&key, &value) {
            return Err(NotKept::Full);
        }
        self.bytes = self.bytes_with(&key, &value);
        self.entries.insert(key, Entry { value, expires });
        Ok(())
    }

    /// What it replaces makes room, and stays where that is not enough.
    fn has_room(&self, key: &str, value: &str) -> bool {
        let one_more = self.entries.len() < ENTRIES_MAX || self.entries.contains_key(key);
        one_more && self.bytes_with(key, value) <= TOTAL_BYTES_MAX
    }

    fn bytes_with(&self, key: &str, value: &str) -> usize {
        let replaced = self.entries.get(key).map_or(0, |old| key.len() + old.value.len());
        self.bytes - replaced + key.len() + value.len()
    }

    fn drop_expired(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| now < entry.expires);
        self.bytes = self.entries.iter().map(|(key, entry)| key.len() + entry.value.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn entries_expire() {
        let notes = Notes::default();
        notes.remember("k".into(), "v".into(), SECOND, at(0)).unwrap();
        assert_eq!(notes.recall("k", at(0)), Some("v".into()));
        assert_eq!(notes.recall("k", at(1)), None);
        let far = Duration::from_secs(u64::from(u32::MAX));
        notes.remember("k".into(), "v".into(), far, at(0)).unwrap();
        assert_eq!(notes.recall("k", at(24 * 3600)), None, "no entry outlives a day");
    }

    #[test]
    fn tallies_saturate_and_keep_their_first_expiry() {
        let notes = Notes::default();
        assert_eq!(notes.tally("n".into(), 2, SECOND * 3, at(0)), 2);
        assert_eq!(notes.tally("n".into(), i32::MAX, SECOND * 3, at(2)), i32::MAX);
        assert_eq!(notes.tally("n".into(), -5, SECOND * 3, at(3)), -5);
    }

    #[test]
    fn a_full_store_refuses_until_something_expires() {
        let notes = Notes::default();
        for number in 0..ENTRIES_MAX {
            notes.remember(number.to_string(), String::new(), SECOND, at(0)).unwrap();
        }
        let more = || notes.remember("more".into(), String::new(), SECOND, at(0));
        assert_eq!(more(), Err(NotKept::Full));
        assert_eq!(notes.remember("0".into(), "new".into(), SECOND, at(0)), Ok(()), "replaced");
        assert_eq!(notes.remember("more".into(), String::new(), SECOND, at(1)), Ok(()));
    }

    #[test]
    fn sizes_are_bounded_one_by_one_and_in_sum() {
        let notes = Notes::default();
        let large = || "x".repeat(VALUE_BYTES_MAX);
        let keep = |key: String, value: String| notes.remember(key, value, SECOND, at(0));
        assert_eq!(keep("k".into(), large() + "x"), Err(NotKept::TooLarge));
        assert_eq!(keep("k".repeat(KEY_BYTES_MAX + 1), String::new()), Err(NotKept::TooLarge));
        let kept = (0..100).filter(|n| keep(n.to_string(), large()).is_ok()).count();
        assert_eq!(kept, (TOTAL_BYTES_MAX - 1) / VALUE_BYTES_MAX);
        assert_eq!(keep("small".into(), "old".into()), Ok(()));
        assert_eq!(keep("small".into(), large()), Err(NotKept::Full));
        assert_eq!(notes.recall("small", at(0)), Some("old".into()), "it was not replaced");
    }
}
