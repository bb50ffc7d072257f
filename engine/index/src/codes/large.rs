//! Memory in large pages.
//!
//! A search jumps to lists that lie anywhere in the codes. With pages of 4 KiB nearly every list misses
//! the translation of its address; with pages of 2 MiB the translations of a hundred megabytes stay at
//! hand. Small arrays stay in ordinary memory.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
use memmap2::MmapMut;

/// Arrays of at least so many bytes are worth large pages.
const LEAST_BYTES: usize = 4 << 20;

/// An array of plain values, in large pages where it is long and the system has them.
pub struct Large<T>(Memory<T>);

enum Memory<T> {
    Ordinary(Vec<T>),
    Pages(MmapMut, PhantomData<T>),
}

impl<T: Pod> Large<T> {
    /// Returns `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let bytes = len * size_of::<T>();
        if bytes >= LEAST_BYTES
            && let Ok(pages) = MmapMut::map_anon(bytes)
        {
            // Advice: a system without large pages answers with an error, and all is as before.
            #[cfg(target_os = "linux")]
            let _ = pages.advise(memmap2::Advice::HugePage);
            return Self(Memory::Pages(pages, PhantomData));
        }
        Self(Memory::Ordinary(vec![T::zeroed(); len]))
    }
}

impl<T: Pod> Deref for Large<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Memory::Ordinary(values) => values,
            Memory::Pages(pages, _) => bytemuck::cast_slice(pages),
        }
    }
}

impl<T: Pod> DerefMut for Large<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Memory::Ordinary(values) => values,
            Memory::Pages(pages, _) => bytemuck::cast_slice_mut(pages),
        }
    }
}

impl<T: Pod> Default for Large<T> {
    fn default() -> Self {
        Self(Memory::Ordinary(Vec::new()))
    }
}

impl<T: Pod> Clone for Large<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl<T: Pod + PartialEq> PartialEq for Large<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Pod> fmt::Debug for Large<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Large of {}", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_short_arrays_are_zero_and_can_be_written() {
        for len in [0, 5, LEAST_BYTES / 4, LEAST_BYTES / 4 + 1] {
            let mut values = Large::<u32>::zeroed(len);
            assert_eq!(values.len(), len);
            assert!(values.iter().all(|&value| value == 0));
            if let Some(last) = values.last_mut() {
                *last = 7;
            }
            assert_eq!(values.clone(), values);
            assert_eq!(values.last().copied(), (len > 0).then_some(7));
        }
    }
}
