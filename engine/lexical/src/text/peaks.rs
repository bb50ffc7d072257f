//! What a word adds to a row at most.

use std::sync::Arc;

use super::{Bm25, TextIndex, TextSource};
use crate::LexicalError;

/// What a word's rows are like where it counts most: of each length the most often that a row has it,
/// but for lengths at which a shorter row has it as often. Whatever the statistics of a query, the row
/// that the word adds most to is among these.
#[derive(Debug)]
pub struct Peaks(Box<[(u8, u32)]>);

/// Where peaks of one segment and field are kept between searches, so that only the first one goes through
/// the rows of a word. Whoever keeps them counts what they take; a segment never changes, so what is kept
/// stays true.
pub trait KeptPeaks {
    /// Returns the peaks of a word, if they are kept.
    fn get(&self, word: &str) -> Option<Arc<Peaks>>;
    /// Takes the peaks of a word, to keep them or not.
    fn put(&self, word: &str, peaks: &Arc<Peaks>);
}

/// Keeps nothing.
impl KeptPeaks for () {
    fn get(&self, _: &str) -> Option<Arc<Peaks>> {
        None
    }

    fn put(&self, _: &str, _: &Arc<Peaks>) {}
}

impl TextIndex {
    /// Returns where a word counts most; goes through its rows unless that is known.
    pub(super) fn peaks(
        &self,
        word: &str,
        kept: &dyn KeptPeaks,
    ) -> Result<Arc<Peaks>, LexicalError> {
        if let Some(peaks) = kept.get(word) {
            return Ok(peaks);
        }
        let peaks = Arc::new(Peaks::of(self, word)?);
        kept.put(word, &peaks);
        Ok(peaks)
    }
}

impl Peaks {
    /// Goes through a posting list.
    fn of(index: &TextIndex, word: &str) -> Result<Self, LexicalError> {
        let mut most = [0_u32; 256];
        index.each_posting(word, &mut |rows, counts| {
            for (&row, &count) in rows.iter().zip(counts) {
                let most = &mut most[index.length(row) as usize];
                *most = count.max(*most);
            }
        })?;
        let mut peaks = Vec::new();
        let mut highest = 0;
        for (length, count) in (0_u8..=u8::MAX).zip(most) {
            if count > highest {
                highest = count;
                peaks.push((length, count));
            }
        }
        Ok(Self(peaks.into()))
    }

    /// Returns what the word adds to a row at most.
    pub(super) fn bound(&self, bm25: &Bm25, weight: f32) -> f32 {
        let parts = self.0.iter().map(|&(length, count)| bm25.part(weight, length, count));
        parts.fold(0.0, f32::max)
    }

    /// Returns the bytes in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.0)
    }
}
