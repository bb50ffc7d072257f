//! Memory that starts on a cache line.

use std::ops::{Deref, DerefMut};

const LINE_BYTES: usize = 64;
const LINE_FLOATS: usize = LINE_BYTES / size_of::<f32>();

/// A growable block of `f32` whose first element lies on a 64-byte boundary, so that no vector
/// load of a panel crosses two cache lines.
#[derive(Debug, Default)]
pub(crate) struct AlignedBuffer {
    memory: Vec<f32>,
    start: usize,
    len: usize,
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
        if self.memory.len() < len + LINE_FLOATS {
            self.memory = vec![0.0; len + LINE_FLOATS];
            // `align_offset` may decline (it does in const evaluation); unaligned is only slower.
            self.start = self.memory.as_ptr().align_offset(LINE_BYTES).min(LINE_FLOATS);
        }
        self.len = len;
        self
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_start_on_a_line_and_grow() {
        let mut buffer = AlignedBuffer::zeroed(3);
        for len in [3, 100, 5, 5_000] {
            let values = buffer.grow(len);
            assert_eq!(values.len(), len);
            assert_eq!(values.as_ptr() as usize % LINE_BYTES, 0);
        }
    }
}
