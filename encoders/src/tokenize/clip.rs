//! CLIP's tokenizer: byte-level BPE whose pieces end in `</w>`.
//!
//! The vocabulary has no file of its own in OpenAI's code: it follows from the list of merges.
//!
//! ```text
//! 0 ..        256 bytes        256 bytes + </w>      one a merge ...     <|startoftext|>  <|endoftext|>
//! ```
//!
//! DeCLIP has `<|mask|>` before `<|startoftext|>`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{
    Lowercase, NFC, NormalizerWrapper, Replace, Sequence as Normalizers,
};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as Splits;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::cleaning::TextCleaning;
use super::tokenizer::{TextTokenizer, TokenIds, TokenizerError, open_error};
use crate::model_dir::{ModelDirError, read};

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
const MASK: &str = "<|mask|>";
const WORD_END: &str = "</w>";
/// What is a piece of its own before merging.
const PIECES: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
/// The list of merges has 262,145 lines and 3 MB; a file beyond this is another.
const MAX_MERGES_BYTES: u64 = 64 << 20;

/// The files a CLIP tokenizer is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClipVocabulary {
    /// `tokenizer.json`, which says everything.
    Json(PathBuf),
    /// `vocab.json` and `merges.txt`.
    Tables(PathBuf, PathBuf),
    /// `bpe_simple_vocab_16e6.txt`, as it is or in gzip.
    Merges(PathBuf),
}

impl ClipVocabulary {
    /// All their bytes, one file after the other.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, ModelDirError> {
        match self {
            Self::Json(path) | Self::Merges(path) => read(path),
            Self::Tables(vocab, merges) => Ok([read(vocab)?, read(merges)?].concat()),
        }
    }
}

/// A CLIP tokenizer, with what is done to texts before it.
#[derive(Debug)]
pub(crate) struct ClipTokenizer {
    tokenizer: TextTokenizer,
    cleaning: TextCleaning,
}

impl ClipTokenizer {
    /// Opens a vocabulary: at most `max_tokens` ids a text, all below `vocabulary`.
    pub(crate) fn open(
        files: &ClipVocabulary,
        cleaning: TextCleaning,
        (max_tokens, vocabulary): (usize, usize),
        mask_token: bool,
    ) -> Result<Self, TokenizerError> {
        let (path, mut tokenizer) = match files {
            ClipVocabulary::Json(path) => {
                let TextTokenizer { tokenizer, .. } = TextTokenizer::from_json(path)?;
                (path, tokenizer)
            }
            ClipVocabulary::Tables(vocab, merges) => (vocab, from_tables(vocab, merges)?),
            ClipVocabulary::Merges(path) => {
                (path, from_merges(path, &read_merges(path)?, vocabulary, mask_token)?)
            }
        };
        if cleaning == TextCleaning::OpenAi {
            // The text comes clean, and nothing in it is a special token.
            let refused = |error| open_error(path, &error);
            tokenizer.with_normalizer(None::<NormalizerWrapper>).map_err(refused)?;
            tokenizer.with_pre_tokenizer(Some(splits(path, PIECES)?));
            tokenizer.set_encode_special_tokens(true);
        }
        let tokenizer = TextTokenizer::new(tokenizer).with_limits(max_tokens, vocabulary)?;
        Ok(Self { tokenizer, cleaning })
    }

    /// Returns the ids of one text, special tokens included.
    pub(crate) fn encode(&self, text: &str) -> Result<TokenIds, TokenizerError> {
        match self.cleaning {
            TextCleaning::Plain => self.tokenizer.encode(text),
            TextCleaning::OpenAi => self.tokenizer.encode(&TextCleaning::clean_open_ai(text)),
        }
    }
}

fn from_tables(vocab: &Path, merges: &Path) -> Result<Tokenizer, TokenizerError> {
    let utf8 = |path: &Path| {
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| open_error(path, &"path is not UTF-8"))
    };
    let model = BPE::from_file(&utf8(vocab)?, &utf8(merges)?)
        .end_of_word_suffix(WORD_END.to_owned())
        .build()
        .map_err(|error| open_error(vocab, &error))?;
    finish(vocab, model)
}

/// Reads the list of merges.
fn read_merges(path: &Path) -> Result<String, TokenizerError> {
    let failed = |error: std::io::Error| open_error(path, &error);
    let file = BufReader::new(File::open(path).map_err(failed)?);
    let mut text = String::new();
    let read = if path.extension().is_some_and(|ending| ending == "gz") {
        GzDecoder::new(file).take(MAX_MERGES_BYTES).read_to_string(&mut text)
    } else {
        file.take(MAX_MERGES_BYTES).read_to_string(&mut text)
    };
    read.map_err(failed)?;
    Ok(text)
}

/// Makes the vocabulary of `vocabulary` entries that follows from a list of merges.
fn from_merges(
    path: &Path,
    text: &str,
    vocabulary: usize,
    mask_token: bool,
) -> Result<Tokenizer, TokenizerError> {
    let bytes = byte_characters();
    let specials: &[&str] = if mask_token { &[MASK, START, END] } else { &[START, END] };
    let count = vocabulary.saturating_sub(2 * bytes.len() + specials.len());
    // The first line says what the file is.
    let merges: Vec<(String, String)> = text
        .lines()
        .skip(1)
        .take(count)
        .filter_map(|line| line.split_once(' '))
        .map(|(left, right)| (left.to_owned(), right.to_owned()))
        .collect();
    if merges.len() != count {
        let reason = format!("{} merges, {count} needed", merges.len());
        return Err(open_error(path, &reason));
    }
    let singles = bytes.iter().map(char::to_string);
    let ends = bytes.iter().map(|byte| format!("{byte}{WORD_END}"));
    let merged = merges.iter().map(|(left, right)| format!("{left}{right}"));
    let specials = specials.iter().map(|&special| special.to_owned());
    let tokens = singles.chain(ends).chain(merged).chain(specials);
    let vocab: Vocab = tokens.zip(0..).collect();
    let model = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .end_of_word_suffix(WORD_END.to_owned())
        .build()
        .map_err(|error| open_error(path, &error))?;
    finish(path, model)
}

/// The characters that stand for bytes, in the order of the vocabulary: those that can be seen, then
/// the others under characters from 256 on (GPT-2).
fn byte_characters() -> Vec<char> {
    let seen = (b'!'..=b'~').chain(0xa1..=0xac).chain(0xae..=0xff).map(char::from);
    let mut characters: Vec<char> = seen.collect();
    characters.extend((0x100..).take(256 - characters.len()).filter_map(char::from_u32));
    characters
}

/// Adds what is around the model, as a published `tokenizer.json` has it.
fn finish(path: &Path, model: BPE) -> Result<Tokenizer, TokenizerError> {
    let refused = |error: tokenizers::Error| open_error(path, &error);
    let mut tokenizer = Tokenizer::new(model);
    let special = |token: &'static str| {
        let missing = || TokenizerError::MissingToken { path: path.to_owned(), token };
        tokenizer.token_to_id(token).map(|id| (token.to_owned(), id)).ok_or_else(missing)
    };
    let (start, end) = (special(START)?, special(END)?);
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ").map_err(refused)?;
    let normalizers = vec![NFC.into(), spaces.into(), Lowercase.into()];
    let post = RobertaProcessing::new(end, start).trim_offsets(false).add_prefix_space(false);
    let pieces = format!(r"<\|startoftext\|>|<\|endoftext\|>|{PIECES}");
    tokenizer
        .with_normalizer(Some(Normalizers::new(normalizers)))
        .map_err(refused)?
        .with_pre_tokenizer(Some(splits(path, &pieces)?))
        .with_post_processor(Some(post));
    let special: Vec<AddedToken> = [START, END].map(|token| AddedToken::from(token, true)).into();
    tokenizer.add_special_tokens(special).map_err(refused)?;
    Ok(tokenizer)
}

/// Splits at all that is none of `pieces`, and turns bytes into characters.
fn splits(path: &Path, pieces: &str) -> Result<Splits, TokenizerError> {
    let pattern = SplitPattern::Regex(pieces.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Removed, true)
        .map_err(|error| open_error(path, &error))?;
    Ok(Splits::new(vec![split.into(), ByteLevel::new(false, true, true).into()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: (usize, usize) = (77, 49_408);

    fn merges() -> ClipVocabulary {
        ClipVocabulary::Merges("tests/data/clip-bpe/bpe_simple_vocab_16e6.txt.gz".into())
    }

    /// The texts of the golden set, with the ids both dialects give them.
    fn cases() -> Vec<(String, Vec<u32>, Vec<u32>)> {
        let cases = std::fs::read("tests/data/clip-bpe/cases.json").unwrap();
        let cases: Vec<serde_json::Value> = serde_json::from_slice(&cases).unwrap();
        let ids = |value: &serde_json::Value| serde_json::from_value(value.clone()).unwrap();
        cases
            .iter()
            .map(|case| {
                (case["text"].as_str().unwrap().to_owned(), ids(&case["openai"]), ids(&case["hf"]))
            })
            .collect()
    }

    #[test]
    fn ids_of_both_dialects_are_the_references() {
        let plain = ClipTokenizer::open(&merges(), TextCleaning::Plain, CLIP, false).unwrap();
        let clean = ClipTokenizer::open(&merges(), TextCleaning::OpenAi, CLIP, false).unwrap();
        let cases = cases();
        assert_eq!(cases.len(), 25);
        for (text, open_ai, hugging_face) in cases {
            assert_eq!(plain.encode(&text).unwrap().ids, hugging_face, "{text:?}");
            assert_eq!(clean.encode(&text).unwrap().ids, open_ai, "{text:?}");
        }
    }

    #[test]
    fn a_mask_moves_the_other_special_tokens() {
        let limits = (CLIP.0, CLIP.1 + 1);
        let shifted = ClipTokenizer::open(&merges(), TextCleaning::OpenAi, limits, true).unwrap();
        for (text, open_ai, _) in cases() {
            let expected: Vec<u32> =
                open_ai.into_iter().map(|id| if id >= 49_406 { id + 1 } else { id }).collect();
            assert_eq!(shifted.encode(&text).unwrap().ids, expected, "{text:?}");
        }
    }

    #[test]
    fn a_published_file_gives_the_ids_of_its_reference() {
        let file = ClipVocabulary::Json("tests/data/clip-tiny/tokenizer.json".into());
        let tokenizer =
            ClipTokenizer::open(&file, TextCleaning::Plain, (77, 1_714), false).unwrap();
        let short = tokenizer.encode("a photo of a cat").unwrap();
        assert_eq!(short.ids, [1712, 320, 1125, 539, 320, 66, 536, 1713]);
        let long = tokenizer.encode(&"the quick brown fox ".repeat(30)).unwrap();
        assert_eq!((long.ids.len(), long.ids[76], long.truncated), (77, 1713, true));
        // The same vocabulary, from the list of merges.
        let same = ClipTokenizer::open(&merges(), TextCleaning::Plain, (77, 1_714), false).unwrap();
        for (text, ..) in cases() {
            assert_eq!(same.encode(&text).unwrap(), tokenizer.encode(&text).unwrap(), "{text:?}");
        }
    }

    #[test]
    fn refusals_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bpe_simple_vocab_16e6.txt");
        std::fs::write(&path, "#version\ni n\nt h\n").unwrap();
        let open = |vocabulary: usize| {
            let files = ClipVocabulary::Merges(path.clone());
            ClipTokenizer::open(&files, TextCleaning::Plain, (77, vocabulary), false)
        };
        assert!(open(516).is_ok());
        let error = open(517).unwrap_err().to_string();
        assert!(error.ends_with("bpe_simple_vocab_16e6.txt: 2 merges, 3 needed"), "{error}");
        let packed = folder.path().join("x.txt.gz");
        std::fs::write(&packed, "no gzip").unwrap();
        assert!(read_merges(&packed).unwrap_err().to_string().contains("x.txt.gz"));
    }
}
