//! Asks for memory before it is needed.

#![allow(unsafe_code, reason = "prefetch instructions take pointers")]

/// Bytes of a cache line.
pub(crate) const LINE_BYTES: usize = 64;
/// Bytes behind which the CPU does not follow a run of lines on its own, because the next page may
/// lie anywhere.
const PAGE_BYTES: usize = 4096;
/// Lines that tell the CPU's own prefetcher that a run has begun.
const RUN_LINES: usize = 2;

/// Asks the CPU to bring every cache line of `bytes` as near as the second-level cache: for some
/// kilobytes that are read after what is being worked on.
///
/// A hint: nothing waits for it, and bytes that are not in memory are left where they are.
#[inline]
pub fn prefetch(bytes: &[u8]) {
    for line in bytes.chunks(LINE_BYTES) {
        touch_second_level(line.as_ptr());
    }
    // Lines are counted from the first byte, which need not be the first of its line.
    if let Some(last) = bytes.last() {
        touch_second_level(last);
    }
}

/// Asks the CPU to bring the cache line that `value` begins in as near as the second-level cache.
///
/// For what is read some kilobytes further on in a stream: few lines can be on their way into the
/// first level at once, and then that is what limits the stream. On a Zen 4 a scan from memory is 1.7
/// times as fast for it (docs/benchmarks/kernels.md).
#[inline]
pub(crate) fn prefetch_line_of<T>(value: &T) {
    touch_second_level(std::ptr::from_ref(value).cast());
}

/// Asks the CPU for the beginning of `bytes`, and of each page they reach into.
///
/// Reading a few kilobytes that lie anywhere waits at their start and again at each page: for the
/// translation of the address, and until the CPU has seen a run to follow. This takes both waits out
/// of the way, far ahead of the reading; the lines in between are left to the CPU, which fetches them
/// in time. Asking for every line instead fills the queue of outstanding misses and gains a third as
/// much.
///
/// A hint: nothing waits for it, and bytes that are not in memory are left where they are.
#[inline]
pub fn prefetch_stream(bytes: &[u8]) {
    begin_run(bytes);
    let to_next_page = PAGE_BYTES - bytes.as_ptr().addr() % PAGE_BYTES;
    let pages = bytes.get(to_next_page..).unwrap_or_default();
    pages.chunks(PAGE_BYTES).for_each(begin_run);
}

#[inline]
fn begin_run(bytes: &[u8]) {
    for line in bytes.chunks(LINE_BYTES).take(RUN_LINES) {
        touch(line.as_ptr());
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn touch(line: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: part of SSE, which x86-64 always has; a prefetch faults on no address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn touch_second_level(line: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    // SAFETY: part of SSE, which x86-64 always has; a prefetch faults on no address.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn touch_second_level(line: *const u8) {
    touch(line);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_may_start_anywhere_in_a_page() {
        let bytes = vec![1_u8; 3 * PAGE_BYTES + 1];
        for start in (0..PAGE_BYTES).step_by(37).chain([PAGE_BYTES - 1, PAGE_BYTES]) {
            for length in [0, 1, 63, 64, 65, PAGE_BYTES - 1, PAGE_BYTES, 2 * PAGE_BYTES + 1] {
                prefetch_stream(&bytes[start..start + length]);
            }
        }
    }
}
