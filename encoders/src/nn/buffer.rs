//! Memory that starts on a cache line.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

const LINE_BYTES: usize = 64;
const LINE_FLOATS: usize = LINE_BYTES / size_of::<f32>();
/// From here on memory is asked for in large pages.
const LARGE_FLOATS: usize = (256 << 10) / size_of::<f32>();

/// A growable block of `f32` whose first element lies on a 64-byte boundary, so that no vector
/// load of a panel crosses two cache lines.
///
/// A large block is mapped, with a request for large pages: the CPU follows a run of memory by itself
/// to the end of a page, and a model is thousands of small pages.
#[derive(Debug, Default)]
pub(crate) struct AlignedBuffer {
    memory: Memory,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    Heap { values: Vec<f32>, start: usize },
    Map(MmapMut),
}

impl AlignedBuffer {
    /// Returns `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let mut buffer = Self::default();
        buffer.grow(len);
        buffer
    }

    /// Makes room for `len` values and returns them; what they hold is left over from before.
    pub(crate) fn grow(&mut self, len: usize) -> &mut [f32] {
        if self.memory.len() < len {
            self.memory = Memory::zeroed(len);
        }
        self.len = len;
        self
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.memory {
            Memory::Heap { values, start } => &values[*start..start + self.len],
            Memory::Map(map) => &bytemuck::cast_slice(map)[..self.len],
        }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.memory {
            Memory::Heap { values, start } => &mut values[*start..*start + self.len],
            Memory::Map(map) => &mut bytemuck::cast_slice_mut(map)[..self.len],
        }
    }
}

impl Memory {
    fn zeroed(len: usize) -> Self {
        if len >= LARGE_FLOATS
            && let Ok(map) = MmapMut::map_anon(len * size_of::<f32>())
        {
            // A wish: without it, or where there are no large pages, the map is as good as the heap.
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            return Self::Map(map);
        }
        let values = vec![0.0; len + LINE_FLOATS];
        // `align_offset` may decline (it does in const evaluation); unaligned is only slower.
        let start = values.as_ptr().align_offset(LINE_BYTES).min(LINE_FLOATS);
        Self::Heap { values, start }
    }

    /// Values there is room for.
    fn len(&self) -> usize {
        match self {
            Self::Heap { values, .. } => values.len().saturating_sub(LINE_FLOATS),
            Self::Map(map) => map.len() / size_of::<f32>(),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::Heap { values: Vec::new(), start: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_start_on_a_line_and_grow() {
        let mut buffer = AlignedBuffer::zeroed(3);
        for len in [3, 100, 5, 5_000, LARGE_FLOATS - 1, LARGE_FLOATS + 1, 70, LARGE_FLOATS + 2_000]
        {
            let values = buffer.grow(len);
            assert_eq!(values.len(), len);
            assert_eq!(values.as_ptr() as usize % LINE_BYTES, 0);
            values.fill(1.0);
        }
        assert!(AlignedBuffer::zeroed(LARGE_FLOATS).iter().all(|&value| value == 0.0));
    }
}
