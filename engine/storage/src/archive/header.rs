//! The 512 bytes before an entry: a function of its name and length.

use tar::{EntryType, Header};

/// Bytes of a header, and what data is padded to.
pub(super) const BLOCK_BYTES: usize = 512;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// What a block says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Entry {
        name: String,
        length: u64,
    },
    /// A block of zeros.
    End,
}

/// Why a block is no header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    Damaged(&'static str),
    Refused { name: String, reason: String },
}

/// Returns the header of an entry, or why it cannot have one.
pub(super) fn write(name: &str, length: u64) -> Result<[u8; BLOCK_BYTES], String> {
    check_name(name)?;
    let mut header = Header::new_ustar();
    header.set_path(name).map_err(|error| error.to_string())?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(length);
    header.set_cksum();
    Ok(*header.as_bytes())
}

/// Reads a header, and refuses all that [`write`] would not write.
pub(super) fn read(block: &[u8; BLOCK_BYTES]) -> Result<Found, NoHeader> {
    if block.iter().all(|&byte| byte == 0) {
        return Ok(Found::End);
    }
    let header = Header::from_byte_slice(block);
    if header.cksum().ok() != Some(sum(block)) {
        return Err(NoHeader::Damaged("expected the header of an entry"));
    }
    let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
    let refused = |reason: String| NoHeader::Refused { name: name.clone(), reason };
    if header.entry_type() != EntryType::Regular {
        return Err(refused(format!("expected a file, found {:?}", header.entry_type())));
    }
    check_name(&name).map_err(refused)?;
    let length = header.entry_size().map_err(|error| refused(error.to_string()))?;
    if write(&name, length).as_ref() != Ok(block) {
        return Err(refused("its header is not one that this program writes".into()));
    }
    Ok(Found::Entry { name, length })
}

/// Returns how many zeros follow `length` bytes of data.
pub(super) fn padding(length: u64) -> u64 {
    length.wrapping_neg() % BLOCK_BYTES as u64
}

/// Refuses names that are not relative paths of plain names.
fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte);
    let plain =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
    if name.len() <= MAX_NAME_BYTES && name.split('/').all(plain) {
        return Ok(());
    }
    Err("expected a relative path of plain names".into())
}

/// Returns the checksum of a header: the sum of its bytes, those of the checksum taken as blanks.
fn sum(block: &[u8; BLOCK_BYTES]) -> u32 {
    let blank = |(at, &byte): (usize, &u8)| if (148..156).contains(&at) { b' ' } else { byte };
    block.iter().enumerate().map(blank).map(u32::from).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header whose sum is right, whatever else it says.
    fn forged(change: impl FnOnce(&mut Header)) -> [u8; BLOCK_BYTES] {
        let mut header = Header::new_ustar();
        header.set_path("a").unwrap();
        header.set_size(3);
        header.set_mode(0o644);
        header.set_entry_type(EntryType::Regular);
        change(&mut header);
        header.set_cksum();
        *header.as_bytes()
    }

    fn set_name(header: &mut Header, name: &[u8]) {
        let field = &mut header.as_old_mut().name;
        *field = [0; 100];
        field[..name.len()].copy_from_slice(name);
    }

    #[test]
    fn hostile_headers_are_refused_by_name() {
        for name in ["../a", "/etc/passwd", "a/../b", "a//b", ".", "..", "a/.hidden", "a b", "ä"] {
            let block = forged(|header| set_name(header, name.as_bytes()));
            let Err(NoHeader::Refused { name: found, .. }) = read(&block) else { panic!("{name}") };
            assert_eq!(found, name);
        }
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Directory, EntryType::Fifo] {
            let block = forged(|header| header.set_entry_type(kind));
            assert!(matches!(read(&block), Err(NoHeader::Refused { .. })), "{kind:?}");
        }
        let link = forged(|header| header.set_link_name("/etc/passwd").unwrap());
        assert!(matches!(read(&link), Err(NoHeader::Refused { .. })));
    }

    #[test]
    fn zeros_are_the_end() {
        assert_eq!(read(&[0; BLOCK_BYTES]), Ok(Found::End));
    }

    #[test]
    fn padding_fills_the_block() {
        let padded = [0, 1, 511, 512, 513].map(|length| length + padding(length));
        assert_eq!(padded, [0, 512, 512, 512, 1024]);
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            parts in prop::collection::vec("[a-zA-Z0-9_@-][a-zA-Z0-9_.@-]{0,60}", 1..3),
            length: u64,
        ) {
            let name = parts.join("/");
            let block = write(&name, length).unwrap();
            prop_assert_eq!(read(&block), Ok(Found::Entry { name, length }));
        }

        #[test]
        fn a_flipped_bit_is_no_header(length: u64, bit in 0..BLOCK_BYTES * 8) {
            let mut block = write("a/b", length).unwrap();
            block[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(read(&block).is_err());
        }
    }
}
