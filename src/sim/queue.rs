//! What will happen, in the order of time; what happens at the same time, in
//! the order in which it was put here.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::failover::Timestamp;

#[derive(Debug)]
struct Entry<T> {
    at: Timestamp,
    number: u64,
    what: T,
}

impl<T> Entry<T> {
    const fn rank(&self) -> (Timestamp, u64) {
        (self.at, self.number)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    /// The earliest is the greatest: the heap gives that first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.rank().cmp(&self.rank())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Entry<T>>,
    numbered: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), numbered: 0 }
    }
}

impl<T> Queue<T> {
    pub fn put(&mut self, at: Timestamp, what: T) {
        self.numbered += 1;
        self.heap.push(Entry { at, number: self.numbered, what });
    }

    pub fn pop(&mut self) -> Option<(Timestamp, T)> {
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_before_order_and_order_breaks_ties() {
        let mut queue = Queue::default();
        for (ms, name) in [(5, "d"), (1, "a"), (5, "e"), (2, "c"), (1, "b")] {
            queue.put(Timestamp::from_millis(ms), name);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, name)| name).collect();
        assert_eq!(order, ["a", "b", "c", "d", "e"]);
    }
}
