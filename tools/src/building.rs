//! Segments that are built while a command waits: what is shown of them.
//!
//! A command has no background threads: a memtable that is full is clustered, encoded and written by the
//! thread that filled it, which then says nothing for a while. Another thread asks the collection how
//! far it is.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use bigrain_engine::{Collection, CollectionInfo};

use crate::human;
use crate::progress::{Aside, Progress};

/// Does work on some collections and says meanwhile which of their segments are built.
pub fn saying_builds<T>(collections: &[Collection], aside: &Aside, work: impl FnOnce() -> T) -> T {
    let (done, ended) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(aside.every()) == Err(RecvTimeoutError::Timeout) {
                let words = collections.iter().find_map(|one| words(&one.info()));
                words.into_iter().for_each(|words| aside.say(&words));
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// Flushes a collection and merges what is to be merged, and shows how far that is.
///
/// # Errors
///
/// When the disk refuses.
pub fn finish_segments(collection: &Collection, settle: bool) -> anyhow::Result<()> {
    let progress = Progress::new(collection.name(), collection.count());
    let built = saying_builds(std::slice::from_ref(collection), &progress.aside(), || {
        collection.flush()?;
        if settle { collection.settle() } else { Ok(()) }
    });
    progress.finish();
    Ok(built?)
}

/// Says what is built, if anything is.
fn words(info: &CollectionInfo) -> Option<String> {
    if let Some(flush) = info.flushing {
        let rows = human::counted(flush.rows, "point", "points");
        return Some(format!("indexing {rows}, {} %", flush.percent));
    }
    let merge = info.merging?;
    let segments = human::counted(merge.segments, "segment", "segments");
    let rows = human::counted(merge.rows, "point", "points");
    Some(format!("merging {segments} of {rows}, {} %", merge.percent))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use bigrain_engine::{CollectionConfig, Engine, EngineConfig, Metric, Point};

    use super::*;

    #[test]
    fn the_result_comes_back_and_the_watching_ends() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(folder.path(), EngineConfig::default()).unwrap();
        let collection = engine.create_collection("c", CollectionConfig::new(2, Metric::Dot));
        let collection = collection.unwrap();
        let points = (0..500).map(|id| Point::new(id, vec![id as f32, 1.0])).collect();
        collection.upsert(points).unwrap();
        let (sender, receiver) = channel();
        let aside = Progress::hidden("c", 1).aside();
        let result = saying_builds(std::slice::from_ref(&collection), &aside, || {
            collection.flush().map(|()| sender.send(7))
        });
        result.unwrap().unwrap();
        assert_eq!(receiver.recv(), Ok(7));
        let info = collection.info();
        assert_eq!((info.segments, words(&info)), (1, None));
        finish_segments(&collection, true).unwrap();
    }
}
