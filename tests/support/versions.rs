//! Files of a version that is yet to come.

/// Raises the format version in the footer of a block file, and makes the footer's checksum right.
pub fn raise_version(file: &mut [u8]) {
    let footer = file.len() - 32;
    let footer = &mut file[footer..];
    footer[16] += 1;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&footer[..20]), &footer[24..]);
    footer[20..24].copy_from_slice(&crc.to_le_bytes());
}
