//! What the allocator keeps of what was freed.
//!
//! glibc gives each thread an *arena* of its own, and takes blocks of up to 32 MiB from it as soon as one as
//! large has been freed. What is freed in the middle of an arena stays there, and other threads do not get
//! it: writers, flushes, merges and the store's threads each keep their largest moment. With a budget of 48
//! MiB that its account kept to, a process was seen to have 80 MiB for itself, of which 78 lay in arenas.
//! Under a budget there are few arenas, large blocks are pages of their own, which go when they are freed,
//! and what was freed in between is given back after each build.
//!
//! The larger the budget, the less of this: from some gigabytes on all is as glibc has it. It holds for the
//! process. Other allocators are left alone.

/// Has the allocator keep less than it would of what is freed, as suits a budget of so many bytes. To be called
/// before there are threads.
pub fn keep_little(budget: u64) {
    system::keep_little(budget);
}

/// Gives all free pages back to the system. Takes milliseconds.
pub fn give_back() {
    system::give_back();
}

/// Returns the bytes that were freed and are kept between blocks that live, those of pages that were given back
/// included. Takes as long as there are pieces, tens of microseconds as a rule. Nothing where it is not known.
#[must_use]
pub fn kept() -> u64 {
    system::kept()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "settings of the allocator are calls into libc")]
mod system {
    use std::ffi::c_int;

    /// An arena for each so many bytes of the budget.
    const BUDGET_PER_ARENA: u64 = 128 << 20;

    /// Blocks of this part of the budget are pages of their own.
    const LARGE_PART: u64 = 256;

    /// The bounds of these blocks: glibc's own at first, and the largest that it takes.
    const LARGE_BLOCKS: (u64, u64) = (128 << 10, 32 << 20);

    pub(super) fn keep_little(budget: u64) {
        let arenas = (budget / BUDGET_PER_ARENA).max(1);
        let large = (budget / LARGE_PART).clamp(LARGE_BLOCKS.0, LARGE_BLOCKS.1);
        set(libc::M_ARENA_MAX, arenas);
        set(libc::M_MMAP_THRESHOLD, large);
        set(libc::M_TRIM_THRESHOLD, 2 * large);
    }

    /// What is refused stays as it is: it is only memory that is kept longer.
    fn set(parameter: c_int, value: u64) {
        let value = c_int::try_from(value).unwrap_or(c_int::MAX);
        // SAFETY: takes two numbers; glibc locks what it changes.
        let _ = unsafe { libc::mallopt(parameter, value) };
    }

    pub(super) fn kept() -> u64 {
        // SAFETY: takes nothing and returns numbers; glibc locks what it reads.
        unsafe { libc::mallinfo2() }.fordblks as u64
    }

    pub(super) fn give_back() {
        // SAFETY: takes a number; only pages without a live block go.
        let _ = unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod system {
    pub(super) fn keep_little(_: u64) {}

    pub(super) fn kept() -> u64 {
        0
    }

    pub(super) fn give_back() {}
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_freed_between_blocks_that_live_is_kept() {
        const BLOCK: usize = 1 << 10;
        let mut blocks: Vec<Option<Vec<u8>>> = (0..4096).map(|_| Some(vec![1; BLOCK])).collect();
        let before = kept();
        blocks.iter_mut().step_by(2).for_each(|block| *block = None);
        assert!(kept() >= before + (1 << 20), "{before} and {} bytes", kept());
        assert_eq!(blocks.iter().flatten().count(), 2048);
    }
}
