//! Maps of files, of which the system lets a process have so many.
//!
//! A file is mapped when something of it is first asked for in place, and for as long as it is open. Of
//! a segment with one field that is searched these are four: its dense rows, lists, ids and lexical
//! index; codes are read. So a folder opens whatever the limit, and what it limits is how many
//! segments are searched: some sixteen thousand where nobody has raised it.

use std::io;

/// Where Linux says how many maps a process may have.
const LIMIT: &str = "/proc/sys/vm/max_map_count";

/// Says of a map that was refused which limit it may be. The system says that memory is short, which
/// it hardly ever is.
pub(super) fn explained(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::OutOfMemory {
        return error;
    }
    let count = |file: &str| std::fs::read_to_string(file).ok();
    let limit = count(LIMIT).and_then(|limit| limit.trim().parse().ok());
    let maps = count("/proc/self/maps").map(|maps| maps.lines().count());
    io::Error::new(error.kind(), reason(&error, maps, limit))
}

fn reason(error: &io::Error, maps: Option<usize>, limit: Option<usize>) -> String {
    let (Some(maps), Some(limit)) = (maps, limit) else { return error.to_string() };
    // A few are the system's own.
    if maps + 16 < limit {
        return error.to_string();
    }
    format!("the process has {maps} maps, and vm.max_map_count allows {limit}: raise it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_is_refused_names_the_limit_that_was_reached() {
        let error = || io::Error::from(io::ErrorKind::OutOfMemory);
        let limited = reason(&error(), Some(65_529), Some(65_530));
        assert!(limited.contains("vm.max_map_count allows 65530: raise it"), "{limited}");
        for (maps, limit) in [(Some(90), Some(65_530)), (None, Some(65_530)), (Some(90), None)] {
            assert_eq!(reason(&error(), maps, limit), error().to_string());
        }
        let explained = explained(error());
        assert_eq!(explained.kind(), io::ErrorKind::OutOfMemory);
        assert!(!explained.to_string().contains("max_map_count"), "this process has a few only");
    }
}
