//! Arguments of kernels.

use crate::DeviceBuffer;

/// One argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// A pointer to memory of the device.
    Buffer(&'a DeviceBuffer),
    /// A null pointer.
    Null,
    /// A number without sign.
    U32(u32),
    /// A number with a sign.
    I32(i32),
    /// A large number without sign.
    U64(u64),
    /// A number with a fraction.
    F32(f32),
}

impl Arg<'_> {
    /// Returns memory whose first bytes are the argument: what a pointer to it points to, on the little-endian machines
    /// that have GPUs.
    #[must_use]
    pub fn cell(&self) -> u64 {
        match *self {
            Self::Buffer(buffer) => buffer.address(),
            Self::Null => 0,
            Self::U32(value) => u64::from(value),
            Self::I32(value) => u64::from(value as u32),
            Self::U64(value) => value,
            Self::F32(value) => u64::from(value.to_bits()),
        }
    }
}
