//! Counts what a call allocates, on its own thread, so that tests may run side
//! by side. A block that grows counts with its new size alone: the system moves
//! large blocks without a copy. Must not know what is measured.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(change: isize) {
    // A thread that ends frees what it has after its counters are gone.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

fn signed(size: usize) -> isize {
    isize::try_from(size).unwrap_or(isize::MAX)
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts")]
// SAFETY: every call is the system allocator's, with the caller's arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(signed(new_size) - signed(layout.size()));
        unsafe { System.realloc(block, layout, new_size) }
    }
}

/// What a call returns, and the most bytes it held at one time, its result
/// included.
pub fn peak_of<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    let outer = PEAK.replace(before);
    let result = call();
    let peak = PEAK.get() - before;
    // This call may be part of another that is measured.
    PEAK.set(PEAK.get().max(outer));
    (result, usize::try_from(peak).unwrap_or(0))
}

#[test]
fn a_peak_is_seen_even_if_it_is_over() {
    let (kept, peak) = peak_of(|| {
        drop(std::hint::black_box(vec![0_u8; 1000]));
        std::hint::black_box(vec![0_u8; 10])
    });
    assert_eq!((kept.len(), peak), (10, 1000));
    let (inner, peak) = peak_of(|| peak_of(|| drop(std::hint::black_box(vec![0_u8; 500]))).1);
    assert_eq!((inner, peak), (500, 500));
    let (_, peak) = peak_of(|| std::hint::black_box(Vec::<u8>::new()));
    assert_eq!(peak, 0);
}
