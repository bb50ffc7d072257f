//! Asking for bytes before they are needed.

#![allow(unsafe_code, reason = "the hint is an instruction of one architecture")]

/// Bytes that a CPU fetches together.
pub(super) const CACHE_LINE: usize = 64;

/// Asks the CPU to bring every cache line of `bytes` near, and does not wait.
///
/// A hint: it reads nothing and changes nothing. Where stable Rust has no such instruction
/// (outside x86-64) it does nothing at all.
pub fn prefetch(bytes: &[u8]) {
    for line in bytes.chunks(CACHE_LINE) {
        prefetch_line_of(&line[0]);
    }
    // Lines are counted from the first byte, which need not be the first of its line.
    if let Some(last) = bytes.last() {
        prefetch_line_of(last);
    }
}

/// Asks for the cache line that `value` begins in.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn prefetch_line_of<T>(value: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: part of every x86-64 CPU, and a prefetch of any address is allowed.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch_line_of<T>(_value: &T) {}
