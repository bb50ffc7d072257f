//! Where the bytes of a picture are: a file, or a part of one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bigrain_encoders::{DecodeOptions, RgbImage, decode_image, decode_image_file};
use bigrain_engine::Payload;
use serde_json::Value;

/// Where the bytes of a picture are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PictureSource {
    /// A file of its own.
    File(PathBuf),
    /// A part of a file: an entry of an archive, a field of a table.
    Part {
        /// The file.
        file: PathBuf,
        /// Where in it the part starts.
        offset: u64,
        /// How many bytes it has.
        len: u64,
        /// What they are.
        coding: PartCoding,
    },
}

/// What the bytes of a part are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartCoding {
    /// The picture's.
    Plain,
    /// The picture's in base64.
    Base64,
}

/// What payloads call it.
const FILE: &str = "file";
const OFFSET: &str = "file_offset";
const LEN: &str = "file_bytes";
const CODING: &str = "file_coding";
const BASE64: &str = "base64";

impl PictureSource {
    /// Returns where a payload says that the picture is.
    #[must_use]
    pub fn of(payload: &Payload) -> Self {
        let file = PathBuf::from(payload.text(FILE).unwrap_or_default());
        let number = |name| payload.get(name).and_then(Value::as_u64);
        let (Some(offset), Some(len)) = (number(OFFSET), number(LEN)) else {
            return Self::File(file);
        };
        let coding = match payload.text(CODING) {
            Some(BASE64) => PartCoding::Base64,
            Some(_) | None => PartCoding::Plain,
        };
        Self::Part { file, offset, len, coding }
    }

    /// Says in a payload where the picture is.
    #[must_use]
    pub fn note_in(&self, payload: Payload) -> Payload {
        let payload = payload.with(FILE, self.file().to_string_lossy().as_ref());
        let Self::Part { offset, len, coding, .. } = self else { return payload };
        let payload = payload.with(OFFSET, *offset).with(LEN, *len);
        match coding {
            PartCoding::Plain => payload,
            PartCoding::Base64 => payload.with(CODING, BASE64),
        }
    }

    /// The file, of which it may be a part.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::File(file) | Self::Part { file, .. } => file,
        }
    }

    /// Reads and decodes the picture.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is larger than `options` allow, or is no picture: with the name of the file.
    pub fn decode(&self, options: &DecodeOptions) -> anyhow::Result<RgbImage> {
        let (file, offset, len, coding) = match self {
            Self::File(file) => return Ok(decode_image_file(file, options)?),
            Self::Part { file, offset, len, coding } => (file, *offset, *len, *coding),
        };
        let read = || -> anyhow::Result<RgbImage> {
            // In base64 it is a third longer, and the limit is checked again.
            let limit = options.limits.max_bytes;
            let most = if coding == PartCoding::Base64 { limit.saturating_mul(2) } else { limit };
            anyhow::ensure!(len <= most, "the picture has {len} bytes, the limit is {limit}");
            let mut bytes = read_part(file, offset, len)?;
            if coding == PartCoding::Base64 {
                bytes = STANDARD.decode(bytes.trim_ascii()).context("decode base64")?;
            }
            Ok(decode_image(&bytes, options)?)
        };
        read().with_context(|| self.to_string())
    }
}

fn read_part(file: &Path, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    // The file may have become shorter.
    file.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != len {
        let message = format!("{len} bytes at {offset} are not all there");
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
    }
    Ok(bytes)
}

impl fmt::Display for PictureSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file().display())?;
        match self {
            Self::File(_) => Ok(()),
            Self::Part { offset, .. } => write!(f, " at {offset}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_part_is_found_again_by_what_a_payload_says() {
        let folder = tempfile::tempdir().unwrap();
        let image = RgbImage::new(8, 4, vec![200; 96]).unwrap();
        let jpeg = image.to_jpeg().unwrap();
        let text = STANDARD.encode(&jpeg);
        let file = folder.path().join("all");
        fs::write(&file, [&b"before"[..], &jpeg, text.as_bytes(), b"after"].concat()).unwrap();
        let part = |offset: usize, len: usize, coding| PictureSource::Part {
            file: file.clone(),
            offset: offset as u64,
            len: len as u64,
            coding,
        };
        let whole = folder.path().join("one.jpg");
        fs::write(&whole, &jpeg).unwrap();
        for source in [
            part(6, jpeg.len(), PartCoding::Plain),
            part(6 + jpeg.len(), text.len(), PartCoding::Base64),
            PictureSource::File(whole),
        ] {
            let found = PictureSource::of(&source.note_in(Payload::new()));
            assert_eq!(found, source);
            let image = found.decode(&DecodeOptions::default()).unwrap();
            assert_eq!((image.width(), image.height()), (8, 4));
        }
        let refused = |source: PictureSource| {
            format!("{:#}", source.decode(&DecodeOptions::default()).unwrap_err())
        };
        let error = refused(part(6, 1 << 20, PartCoding::Plain));
        assert!(error.ends_with("all at 6: 1048576 bytes at 6 are not all there"), "{error}");
        assert!(refused(part(0, 6, PartCoding::Base64)).contains("all at 0: "), "no base64");
        assert!(refused(part(0, usize::MAX, PartCoding::Plain)).contains("the limit is"));
    }
}
