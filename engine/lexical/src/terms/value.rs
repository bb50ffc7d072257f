//! Values as the ends of terms.

/// The longest text that is a term as a whole, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;

/// How many bytes of a number's key have terms of their own: sign and exponent with 4, 12 and 20
/// bits of the mantissa.
pub(crate) const NUMBER_PREFIXES: &[usize] = &[2, 3, 4];

/// How many bytes of a time's key have terms of their own: cells of 194 days, 18 hours, 4 minutes.
pub(crate) const MOMENT_PREFIXES: &[usize] = &[5, 6, 7];

/// What terms of ids begin with: no path does.
pub(crate) const ID_PREFIX: u8 = 0xfb;

/// Joins the parts of a term.
pub(crate) fn term(prefix: &[u8], value: &[u8]) -> Vec<u8> {
    [prefix, value].concat()
}

/// Returns what stands for bytes that are too long.
pub(crate) fn hash_of(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}
