//! Which threads give way to others.

/// The niceness of background threads: beside one that answers all the time they get a thirtieth of a core, and all
/// that is idle.
#[cfg(target_os = "linux")]
const NICER: i32 = 15;

/// Has the calling thread give way to threads that somebody waits for, for good. Where a system knows
/// niceness of whole processes only, nothing changes.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code, reason = "the niceness of a thread is a call into libc")]
    {
        // SAFETY: takes numbers; on Linux a process of 0 is the calling thread. What is refused stays as it is.
        let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICER) };
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Returns the niceness of the calling thread.
    fn niceness() -> Option<i32> {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
        // What follows the name in parentheses begins with field 3; niceness is field 19.
        let (_, fields) = stat.rsplit_once(") ")?;
        fields.split(' ').nth(16)?.parse().ok()
    }

    #[test]
    fn a_thread_that_gives_way_is_nicer_and_others_are_as_they_were() {
        let before = niceness().expect("the system tells how nice a thread is");
        let nicer = std::thread::spawn(|| {
            give_way();
            niceness()
        });
        assert_eq!(nicer.join().expect("a thread"), Some(NICER.max(before)));
        assert_eq!(niceness(), Some(before));
    }
}
