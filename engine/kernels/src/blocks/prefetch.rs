//! Asking for bytes before they are needed.

#![allow(unsafe_code, reason = "the hint is an instruction of one architecture")]

/// Bytes that a CPU fetches together.
const CACHE_LINE: usize = 64;

/// Asks the CPU to bring every cache line of `bytes` near, and does not wait.
///
/// A hint: it reads nothing and changes nothing. Where stable Rust has no such instruction
/// (outside x86-64) it does nothing at all.
pub fn prefetch(bytes: &[u8]) {
    for line in bytes.chunks(CACHE_LINE) {
        prefetch_line_of(line);
    }
    // Lines are counted from the first byte, which need not be the first of its line.
    if let Some(last) = bytes.last() {
        prefetch_line_of(std::slice::from_ref(last));
    }
}

#[cfg(target_arch = "x86_64")]
fn prefetch_line_of(line: &[u8]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: part of every x86-64 CPU, and a prefetch of any address is allowed.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch_line_of(_line: &[u8]) {}
