//! What kind of value a term holds.

/// What kind of value a term holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// Null; no value.
    Null = b'0',
    /// A bool; one byte, 0 or 1.
    Bool = b'b',
    /// The count of a path; u64, big-endian. Every path that reaches anything has one.
    Count = b'c',
    /// A time; its key.
    Moment = b'd',
    /// The beginning of a time's key, after its length in one byte.
    MomentPrefix = b'D',
    /// A place; its cell and its coordinates.
    Place = b'g',
    /// A number; its key.
    Number = b'n',
    /// The beginning of a number's key, after its length in one byte.
    NumberPrefix = b'N',
    /// A whole string.
    Text = b's',
    /// The beginning of a long string, and its hash.
    LongText = b'S',
    /// A word of a string.
    Word = b'w',
}
