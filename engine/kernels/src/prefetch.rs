//! Asks for memory before it is needed.

#![allow(unsafe_code, reason = "prefetch instructions take pointers")]

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// Asks the CPU to bring the lines of `bytes` into its first-level cache.
///
/// A hint: nothing waits for it, and bytes that are not in memory are left where they are.
#[inline]
pub fn prefetch(bytes: &[u8]) {
    for line in bytes.chunks(LINE_BYTES) {
        touch(line.as_ptr());
    }
    // Where the start is not aligned, the last byte may lie one line further.
    if let Some(last) = bytes.last() {
        touch(last);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn touch(line: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: part of SSE, which x86-64 always has; a prefetch faults on no address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
}

#[cfg(target_arch = "aarch64")]
#[inline]
fn touch(line: *const u8) {
    // SAFETY: a prefetch faults on no address and changes neither memory nor flags.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{line}]", line = in(reg) line,
            options(nostack, readonly, preserves_flags));
    };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline]
fn touch(_line: *const u8) {}
