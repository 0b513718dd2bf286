//! What a component needs of a language runtime, in place of the standard
//! library's: an allocator, and an end for what must not happen.

use alloc::alloc::{Layout, alloc, realloc};
use core::arch::wasm32::unreachable;

// Without the standard library nothing else asks for the C library, but the
// compiler expects `memcmp` and its like from there.
#[link(name = "c")]
unsafe extern "C" {}

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unreachable()
}

/// Where the host puts arguments and results. The C library would bring a
/// `cabi_realloc` whose memory the allocator above could not give back.
///
/// # Safety
/// As the canonical ABI has it: `old` came from here, with `old_size` and `align`.
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_size: usize,
    align: usize,
    size: usize,
) -> *mut u8 {
    if size == 0 {
        return core::ptr::without_provenance_mut(align);
    }
    // SAFETY: the canonical ABI only passes alignments that are powers of two,
    // and blocks that came from here with the size and alignment given.
    let block = unsafe {
        if old_size == 0 {
            alloc(Layout::from_size_align_unchecked(size, align))
        } else {
            realloc(old, Layout::from_size_align_unchecked(old_size, align), size)
        }
    };
    if block.is_null() {
        unreachable();
    }
    block
}
