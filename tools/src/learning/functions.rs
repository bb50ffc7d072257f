//! Functions as encoded blocks, and what they are documented as: what an aggregator is learned from.
//!
//! Encoding takes longer than all training, so the vectors can be kept in a file:
//!
//! ```text
//!  | "bigrnFBK" | version: u32 | dims: u32 | functions: u32 | blocks: u32 | 32 B of the BLAKE3 hash of what was encoded |
//!  | blocks of each function: u32 each | docstrings: dims x f32 each | blocks: dims x f32 each |
//!  | 16 B of the BLAKE3 hash of all before |
//! ```

use std::path::Path;

use anyhow::{Context, bail};
use bigrain_encoders::sea::{Aggregator, CodeEncoder, Language, SplitOptions};
use bigrain_engine::Cancel;
use bigrain_train::BlockExamples;
use bigrain_types::{EmbeddingSpaceId, normalize};

use super::{Part, write_file};
use crate::code::{DocstringPair, encode_functions};
use crate::matrix::Matrix;
use crate::queries::encode_queries;

const MAGIC: [u8; 8] = *b"bigrnFBK";
const VERSION: u32 = 1;
const HEADER: usize = 56;
const CHECK: usize = 16;

/// Functions as blocks, and their docstrings as queries.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionBlocks {
    /// The space of all vectors, which have length one.
    pub space: EmbeddingSpaceId,
    /// Blocks, function after function.
    pub blocks: Matrix,
    /// The first block of each function, and how many there are.
    pub starts: Vec<usize>,
    /// The docstring of each function.
    pub queries: Matrix,
    /// What each function is for: those of a file are for the same.
    parts: Vec<Part>,
}

impl FunctionBlocks {
    /// Encodes functions and docstrings. With a file they are taken from it, if it is there and of the same
    /// functions, cut and encoded alike; if not, it is written anew.
    ///
    /// # Errors
    ///
    /// When the encoder refuses a text, the file cannot be read or written, or the caller stops it.
    pub fn encode(
        encoder: &CodeEncoder,
        split: &SplitOptions,
        pairs: &[DocstringPair],
        kept: Option<&Path>,
        cancel: &Cancel,
    ) -> anyhow::Result<Self> {
        let space = encoder.encoder().space();
        let source = source_hash(space, split, pairs);
        if let Some(path) = kept.filter(|path| path.try_exists().unwrap_or(false)) {
            let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
            let Vectors { source: of, blocks, starts, queries } = Vectors::from_bytes(&bytes)
                .with_context(|| format!("{} keeps no blocks", path.display()))?;
            if of == source {
                let parts = parts_of(pairs);
                return Ok(Self { space, blocks, starts, queries, parts });
            }
        }
        let texts: Vec<(&str, Language)> =
            pairs.iter().map(|pair| (pair.document.as_str(), pair.language)).collect();
        let dims = encoder.encoder().dims();
        let (mut blocks, mut starts) = (Matrix::empty(dims), vec![0]);
        for function in encode_functions(encoder, &texts, cancel)? {
            function.vectors().for_each(|block| blocks.push(block));
            starts.push(blocks.len());
        }
        let docstrings = pairs.iter().map(|pair| pair.docstring.as_str());
        let mut queries = Matrix::empty(dims);
        for query in encode_queries(docstrings, encoder.encoder(), cancel)?.iter() {
            let mut query = query.to_vec();
            normalize(&mut query);
            queries.push(&query);
        }
        let vectors = Vectors { source, blocks, starts, queries };
        if let Some(path) = kept {
            write_file(&vectors.to_bytes(), path)?;
        }
        let Vectors { blocks, starts, queries, .. } = vectors;
        Ok(Self { space, blocks, starts, queries, parts: parts_of(pairs) })
    }

    /// Returns how many functions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the docstrings of a part, and the function of each.
    #[must_use]
    pub fn part(&self, part: Part) -> (Matrix, Vec<u32>) {
        let (mut queries, mut right) = (Matrix::empty(self.queries.dims()), Vec::new());
        for ((function, query), &found) in self.queries.rows().enumerate().zip(&self.parts) {
            if found == part {
                queries.push(query);
                right.push(function as u32);
            }
        }
        (queries, right)
    }

    /// Returns what is learned from, of docstrings of the training part.
    #[must_use]
    pub fn examples<'a>(&'a self, queries: &'a Matrix, right: &'a [u32]) -> BlockExamples<'a> {
        let (dims, blocks, starts) = (self.blocks.dims(), self.blocks.values(), &self.starts);
        BlockExamples { dims, blocks, starts, queries: queries.values(), right }
    }

    /// Returns the blocks of a function, row after row.
    #[must_use]
    pub fn of(&self, function: usize) -> &[f32] {
        let dims = self.blocks.dims();
        &self.blocks.values()[self.starts[function] * dims..self.starts[function + 1] * dims]
    }

    /// Whether a function has more than one block.
    #[must_use]
    pub fn is_cut(&self, function: usize) -> bool {
        self.starts[function + 1] - self.starts[function] > 1
    }

    /// Returns one vector of each function.
    #[must_use]
    pub fn aggregated(&self, aggregator: &Aggregator) -> Matrix {
        let dims = self.blocks.dims();
        let mut vectors = Matrix::empty(dims);
        for function in 0..self.len() {
            vectors.push(&aggregator.aggregate(self.of(function), dims));
        }
        vectors
    }
}

/// Returns what each function is for: functions of a file are for the same.
#[must_use]
pub fn parts_of(pairs: &[DocstringPair]) -> Vec<Part> {
    let mut file = 0;
    let ends = pairs.iter().zip(pairs.iter().skip(1).map(Some).chain([None]));
    let part = |(pair, next): (&DocstringPair, Option<&DocstringPair>)| {
        let part = Part::of(file);
        file += u32::from(next.is_some_and(|next| next.file != pair.file));
        part
    };
    ends.map(part).collect()
}

/// Returns the hash of what is encoded, and how.
fn source_hash(space: EmbeddingSpaceId, split: &SplitOptions, pairs: &[DocstringPair]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{space} {split:?} {}", pairs.len()).as_bytes());
    for pair in pairs {
        for text in [pair.language.name(), &pair.document, &pair.docstring] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}

/// What a file keeps.
#[derive(Clone, Debug, PartialEq)]
struct Vectors {
    source: [u8; 32],
    blocks: Matrix,
    starts: Vec<usize>,
    queries: Matrix,
}

impl Vectors {
    fn to_bytes(&self) -> Vec<u8> {
        let Self { source, blocks, starts, queries } = self;
        let counts = [VERSION as usize, blocks.dims(), queries.len(), blocks.len()];
        let mut bytes = MAGIC.to_vec();
        counts.iter().for_each(|&count| bytes.extend((count as u32).to_le_bytes()));
        bytes.extend(source);
        let lengths = starts.windows(2).map(|ends| (ends[1] - ends[0]) as u32);
        bytes.extend(lengths.flat_map(u32::to_le_bytes));
        let values = queries.values().iter().chain(blocks.values());
        bytes.extend(values.flat_map(|value| value.to_le_bytes()));
        let check = blake3::hash(&bytes);
        bytes.extend(&check.as_bytes()[..CHECK]);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        if !bytes.starts_with(&MAGIC) || bytes.len() < HEADER + CHECK {
            bail!("not a file of blocks");
        }
        let (body, check) = bytes.split_at(bytes.len() - CHECK);
        let (header, words) = body.split_at(HEADER);
        let [_, _, version, dims, functions, count, ..] = header.as_chunks::<4>().0 else {
            bail!("not a file of blocks");
        };
        let [version, dims, functions, count] =
            [version, dims, functions, count].map(|&word| u32::from_le_bytes(word) as usize);
        if version != VERSION as usize {
            bail!("version {version}, this program reads version {VERSION}");
        }
        if blake3::hash(body).as_bytes()[..CHECK] != *check {
            bail!("its hash does not match");
        }
        let (words, rest) = words.as_chunks::<4>();
        let expected =
            (functions + count).checked_mul(dims).and_then(|all| all.checked_add(functions));
        if Some(words.len()) != expected || !rest.is_empty() || dims == 0 {
            bail!("its length is not that of its rows");
        }
        let (lengths, rows) = words.split_at(functions);
        let mut starts = vec![0];
        for &length in lengths {
            let last = starts.last().copied().unwrap_or_default();
            starts.push(last + u32::from_le_bytes(length) as usize);
        }
        if starts.last() != Some(&count) {
            bail!("its functions do not have {count} blocks");
        }
        let matrix = |rows: &[[u8; 4]]| {
            let mut matrix = Matrix::empty(dims);
            for row in rows.chunks_exact(dims) {
                let row: Vec<f32> = row.iter().map(|&word| f32::from_le_bytes(word)).collect();
                matrix.push(&row);
            }
            matrix
        };
        let (queries, blocks) = rows.split_at(functions * dims);
        let mut source = [0; 32];
        source.copy_from_slice(&header[HEADER - 32..]);
        Ok(Self { source, blocks: matrix(blocks), starts, queries: matrix(queries) })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::sync::Arc;

    use bigrain_encoders::ToyEncoder;

    use super::*;

    /// Functions whose first words, and none of the others, are those of their docstrings.
    pub fn pairs(count: usize) -> Vec<DocstringPair> {
        let pair = |at: usize| {
            let noise = |line: usize| format!("    {} = {}\n", 31 * at + line, 17 * at + 7 * line);
            let body: String = (0..at % 7 * 6).map(noise).collect();
            DocstringPair {
                file: format!("file {}", at / 2),
                language: Language::Python,
                document: format!("def f():\n    word{at} = other{}\n{body}", at * at),
                docstring: format!("word{at} other{}", at * at),
            }
        };
        (0..count).map(pair).collect()
    }

    pub fn encoder() -> CodeEncoder {
        CodeEncoder::new(Arc::new(ToyEncoder::new(64))).with_split(split()).unwrap()
    }

    pub fn split() -> SplitOptions {
        SplitOptions { max_tokens: 12, ..SplitOptions::default() }
    }

    #[test]
    fn functions_are_encoded_once_and_anew_when_anything_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blocks");
        let encode = |pairs: &[DocstringPair]| {
            FunctionBlocks::encode(&encoder(), &split(), pairs, Some(&path), &Cancel::new())
        };
        let pairs = pairs(20);
        let first = encode(&pairs).unwrap();
        assert_eq!((first.len(), first.starts.len(), first.is_empty()), (20, 21, false));
        assert!(!first.is_cut(0) && first.is_cut(6), "{:?}", first.starts);
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(encode(&pairs).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written, "from the file");

        let mut other = pairs.clone();
        other[3].docstring = "something else".to_owned();
        let changed = encode(&other).unwrap();
        assert_ne!(changed.queries.row(3), first.queries.row(3));
        let mut bytes = fs::read(&path).unwrap();
        assert!(Vectors::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(Vectors::from_bytes(&bytes[..9]).is_err());
        bytes[60] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = format!("{:#}", encode(&other).unwrap_err());
        assert!(error.contains("blocks keeps no blocks: its hash does not match"), "{error}");
    }

    #[test]
    fn functions_of_a_file_are_all_for_the_same() {
        let parts = parts_of(&pairs(400));
        assert!(parts.chunks(2).all(|of_file| of_file[0] == of_file[1]));
        assert!([Part::Training, Part::Validation, Part::Test].iter().all(|p| parts.contains(p)));
        assert!(parts_of(&[]).is_empty());
    }
}
