//! The tokenizer of a model folder, with truncation and padding set by us.
//!
//! Many published `tokenizer.json` files carry the truncation and padding of whatever the author
//! ran last (all-MiniLM-L6-v2: cut at 128 tokens, pad to 128, for a model that reads 256). Both
//! are always replaced: texts are cut at the model's own limit, special tokens included, and never
//! padded.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use thiserror::Error;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, Tokenizer, TruncationParams};

use crate::model_dir::TokenizerFiles;

/// A tokenizer that could not be opened, or a text it refuses.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file could not be read as a tokenizer.
    #[error("read tokenizer {path}: {reason}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The vocabulary has no entry for a token every text needs.
    #[error("vocabulary {path} lacks {token}")]
    MissingToken {
        /// The file.
        path: PathBuf,
        /// The token.
        token: &'static str,
    },
    /// The vocabulary is larger than the model's table of embeddings.
    #[error("tokenizer has ids up to {largest}, the model has {vocabulary} embeddings")]
    Vocabulary {
        /// The largest id.
        largest: usize,
        /// Rows of the model's table.
        vocabulary: usize,
    },
    /// The truncation length leaves no room for a token of the text.
    #[error("max tokens {max_tokens} leaves no room beside {special} special tokens")]
    TooShort {
        /// The truncation length.
        max_tokens: usize,
        /// Special tokens added to each text.
        special: usize,
    },
    /// A text the tokenizer refuses.
    #[error("tokenize: {0}")]
    Text(String),
}

/// Ids of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenIds {
    pub(crate) ids: Vec<u32>,
    /// Whether the text was longer than that.
    pub(crate) truncated: bool,
}

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id in the vocabulary.
    pub id: u32,
    /// What it stands for in the text; of a special token its name.
    pub text: String,
    /// Where it stands in the text, in characters; none of a special token.
    pub chars: Option<Range<usize>>,
}

/// Ids of one text, and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WordIds {
    pub(crate) ids: Vec<u32>,
    /// The first token of each word, and its bytes in the text.
    pub(crate) words: Vec<(usize, Range<usize>)>,
}

/// A tokenizer that cuts at a model's limit and never pads.
#[derive(Debug)]
pub(crate) struct TextTokenizer {
    pub(super) tokenizer: Tokenizer,
    /// The same without the limit, made when it is first asked for: with a limit, tokenizing ends there.
    whole: OnceLock<Box<Tokenizer>>,
}

/// Ids of a pair of texts, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PairIds {
    pub(crate) ids: Vec<u32>,
    /// The type of each token, as the tokenizer gives it: by which of the texts it is of.
    pub(crate) types: Vec<u32>,
}

impl TextTokenizer {
    pub(super) fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, whole: OnceLock::new() }
    }

    /// Reads the files of a tokenizer; `lowercase` is for those that do not say it.
    pub(crate) fn open(files: &TokenizerFiles, lowercase: bool) -> Result<Self, TokenizerError> {
        match files {
            TokenizerFiles::Json(path) => Self::from_json(path),
            TokenizerFiles::WordPiece(path) => Self::from_vocab(path, lowercase),
            TokenizerFiles::ByteLevel(vocab, merges) => Self::from_merges(vocab, merges),
        }
    }

    /// Reads a `tokenizer.json`.
    pub(crate) fn from_json(path: &Path) -> Result<Self, TokenizerError> {
        Tokenizer::from_file(path).map(Self::new).map_err(|error| open_error(path, &error))
    }

    /// Reads a BERT `vocab.txt`, one WordPiece token a line.
    pub(crate) fn from_vocab(path: &Path, lowercase: bool) -> Result<Self, TokenizerError> {
        let file = path.to_str().ok_or_else(|| open_error(path, &"path is not UTF-8"))?;
        let model = WordPiece::from_file(file).build().map_err(|error| open_error(path, &error))?;
        let mut tokenizer = Tokenizer::new(model);
        let special = |token: &'static str| {
            let id = tokenizer.token_to_id(token);
            let missing = || TokenizerError::MissingToken { path: path.to_owned(), token };
            id.map(|id| (token.to_owned(), id)).ok_or_else(missing)
        };
        let (unknown, end, start) = (special("[UNK]"), special("[SEP]")?, special("[CLS]")?);
        unknown?;
        tokenizer
            .with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)))
            .map_err(|error| open_error(path, &error))?
            .with_pre_tokenizer(Some(BertPreTokenizer))
            .with_post_processor(Some(BertProcessing::new(end, start)));
        Ok(Self::new(tokenizer))
    }

    /// Reads a byte-level BPE as RoBERTa has it: `vocab.json` and `merges.txt`.
    pub(crate) fn from_merges(vocab: &Path, merges: &Path) -> Result<Self, TokenizerError> {
        let utf8 = |path: &Path| {
            let text = path.to_str().map(str::to_owned);
            text.ok_or_else(|| open_error(path, &"path is not UTF-8"))
        };
        let model = BPE::from_file(&utf8(vocab)?, &utf8(merges)?)
            .build()
            .map_err(|error| open_error(vocab, &error))?;
        let mut tokenizer = Tokenizer::new(model);
        let special = |token: &'static str| {
            let id = tokenizer.token_to_id(token);
            let missing = || TokenizerError::MissingToken { path: vocab.to_owned(), token };
            id.map(|id| (token.to_owned(), id)).ok_or_else(missing)
        };
        let (start, end) = (special("<s>")?, special("</s>")?);
        let known = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"].into_iter();
        let known = known.filter(|token| tokenizer.token_to_id(token).is_some());
        let known: Vec<AddedToken> =
            known.map(|token| AddedToken::from(token, true).lstrip(token == "<mask>")).collect();
        let post = RobertaProcessing::new(end, start).add_prefix_space(false);
        tokenizer
            .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
            .with_post_processor(Some(post));
        tokenizer.add_special_tokens(known).map_err(|error| open_error(vocab, &error))?;
        Ok(Self::new(tokenizer))
    }

    /// Sets the limit: at most `max_tokens` ids a text, all below `vocabulary`.
    pub(crate) fn with_limits(
        mut self,
        max_tokens: usize,
        vocabulary: usize,
    ) -> Result<Self, TokenizerError> {
        let largest = self.tokenizer.get_vocab(true).into_values().max().unwrap_or(0) as usize;
        if largest >= vocabulary {
            return Err(TokenizerError::Vocabulary { largest, vocabulary });
        }
        let special = self
            .tokenizer
            .get_post_processor()
            .map_or(0, |post| tokenizers::PostProcessor::added_tokens(post, false));
        if max_tokens <= special {
            return Err(TokenizerError::TooShort { max_tokens, special });
        }
        let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        self.tokenizer
            .with_padding(None)
            .with_truncation(Some(truncation))
            .map_err(|error| TokenizerError::Text(error.to_string()))?;
        Ok(self)
    }

    /// Returns the ids of one text as [`TextTokenizer::encode`] does, and its words: the token each
    /// begins with, and where it stands in the text.
    pub(crate) fn encode_words(&self, text: &str) -> Result<WordIds, TokenizerError> {
        let encoding = self
            .tokenizer
            .encode(text, true)
            .map_err(|error| TokenizerError::Text(error.to_string()))?;
        let mut words: Vec<(usize, Range<usize>)> = Vec::new();
        let mut last = None;
        let tokens = encoding.get_word_ids().iter().zip(encoding.get_offsets());
        for (token, (&word, &(start, end))) in tokens.enumerate() {
            match words.last_mut() {
                Some((_, place)) if word.is_some() && word == last => place.end = end,
                _ if word.is_some() => words.push((token, start..end)),
                _ => {}
            }
            last = word;
        }
        Ok(WordIds { ids: encoding.get_ids().to_vec(), words })
    }

    /// Checks that `max_tokens` leave room for a pair.
    pub(crate) fn for_pairs(self, max_tokens: usize) -> Result<Self, TokenizerError> {
        let special = self
            .tokenizer
            .get_post_processor()
            .map_or(0, |post| tokenizers::PostProcessor::added_tokens(post, true));
        // One token of each text.
        if max_tokens < special + 2 {
            return Err(TokenizerError::TooShort { max_tokens, special });
        }
        Ok(self)
    }

    /// Returns the ids of two texts, special tokens included; the longer one is cut.
    pub(crate) fn encode_pair(&self, first: &str, second: &str) -> Result<PairIds, TokenizerError> {
        let encoding = self
            .tokenizer
            .encode_fast((first, second), true)
            .map_err(|error| TokenizerError::Text(error.to_string()))?;
        Ok(PairIds { ids: encoding.get_ids().to_vec(), types: encoding.get_type_ids().to_vec() })
    }

    /// Returns every token of one text, those past the limit too; on request the special ones around it.
    pub(crate) fn tokens(&self, text: &str, special: bool) -> Result<Vec<Token>, TokenizerError> {
        let encoding = self.whole()?.encode_char_offsets(text, special);
        let encoding = encoding.map_err(|error| TokenizerError::Text(error.to_string()))?;
        let starts: Vec<usize> =
            text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let token = |at: usize| {
            let id = encoding.get_ids()[at];
            if encoding.get_special_tokens_mask()[at] != 0 {
                return Token { id, text: encoding.get_tokens()[at].clone(), chars: None };
            }
            let (start, end) = encoding.get_offsets()[at];
            let bytes = starts.get(start).zip(starts.get(end));
            let text = bytes.and_then(|(&start, &end)| text.get(start..end));
            Token { id, text: text.unwrap_or_default().to_owned(), chars: Some(start..end) }
        };
        Ok((0..encoding.len()).map(token).collect())
    }

    fn whole(&self) -> Result<&Tokenizer, TokenizerError> {
        if let Some(whole) = self.whole.get() {
            return Ok(whole);
        }
        let mut whole = self.tokenizer.clone();
        let unlimited = whole.with_truncation(None);
        unlimited.map_err(|error| TokenizerError::Text(error.to_string()))?;
        Ok(self.whole.get_or_init(|| Box::new(whole)))
    }

    /// Returns the ids of one text, special tokens included.
    pub(crate) fn encode(&self, text: &str) -> Result<TokenIds, TokenizerError> {
        self.ids(text, true)
    }

    /// Returns the ids of one text without special tokens.
    pub(crate) fn encode_plain(&self, text: &str) -> Result<TokenIds, TokenizerError> {
        self.ids(text, false)
    }

    fn ids(&self, text: &str, special: bool) -> Result<TokenIds, TokenizerError> {
        let encoding = self
            .tokenizer
            .encode_fast(text, special)
            .map_err(|error| TokenizerError::Text(error.to_string()))?;
        let truncated = !encoding.get_overflowing().is_empty();
        Ok(TokenIds { ids: encoding.get_ids().to_vec(), truncated })
    }
}

/// A file that is refused as a tokenizer.
pub(super) fn open_error(path: &Path, reason: &impl ToString) -> TokenizerError {
    TokenizerError::Open { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocab(tokens: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocab.txt"), tokens.join("\n")).unwrap();
        folder
    }

    const TOKENS: [&str; 8] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cra", "##b", "##s"];

    #[test]
    fn a_vocabulary_splits_words_into_pieces() {
        let folder = vocab(&TOKENS);
        let tokenizer = TextTokenizer::from_vocab(&folder.path().join("vocab.txt"), true).unwrap();
        let tokenizer = tokenizer.with_limits(5, 8).unwrap();
        let short = tokenizer.encode("The  crab 🦀").unwrap();
        assert_eq!(short, TokenIds { ids: vec![2, 4, 5, 6, 3], truncated: true });
        let short = tokenizer.encode("crabs").unwrap();
        assert_eq!(short, TokenIds { ids: vec![2, 5, 6, 7, 3], truncated: false });
        assert_eq!(tokenizer.encode("🦀").unwrap().ids, [2, 1, 3]);
    }

    #[test]
    fn what_is_spelled_like_a_special_token_is_text_to_a_vocabulary() {
        let folder = vocab(&TOKENS);
        let path = folder.path().join("vocab.txt");
        for lowercase in [true, false] {
            let tokenizer = TextTokenizer::from_vocab(&path, lowercase).unwrap();
            let tokenizer = tokenizer.with_limits(20, 8).unwrap();
            // Three words that the vocabulary lacks: a bracket, letters, a bracket.
            let ids = tokenizer.encode("the [SEP] the").unwrap().ids;
            assert_eq!(ids, [2, 4, 1, 1, 1, 4, 3], "{lowercase}");
        }
    }

    /// Checks a tokenizer against what its reference implementation made of the same texts.
    fn assert_equals_reference(tokenizer: &TextTokenizer, folder: &str) {
        let cases = std::fs::read(format!("tests/data/{folder}/cases.json")).unwrap();
        let cases: serde_json::Value = serde_json::from_slice(&cases).unwrap();
        let ids = |case: &serde_json::Value| -> Vec<u32> {
            serde_json::from_value(case["ids"].clone()).unwrap()
        };
        for case in cases["texts"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            assert_eq!(tokenizer.encode(text).unwrap().ids, ids(case), "{text:?}");
        }
        for case in cases["pairs"].as_array().unwrap() {
            let [a, b] = [0, 1].map(|i| case["texts"][i].as_str().unwrap());
            assert_eq!(tokenizer.encode_pair(a, b).unwrap().ids, ids(case), "{a:?} {b:?}");
        }
    }

    #[test]
    fn byte_level_and_unigram_tokens_are_the_references() {
        let folder = Path::new("tests/data/byte-level-bpe");
        let files = TokenizerFiles::ByteLevel(folder.join("vocab.json"), folder.join("merges.txt"));
        let tokenizer = TextTokenizer::open(&files, true).unwrap().with_limits(100, 400).unwrap();
        assert_equals_reference(&tokenizer, "byte-level-bpe");

        let file = TokenizerFiles::Json("tests/data/unigram/tokenizer.json".into());
        let tokenizer = TextTokenizer::open(&file, true).unwrap().with_limits(100, 120).unwrap();
        assert_equals_reference(&tokenizer, "unigram");
    }

    #[test]
    fn the_longer_text_of_a_pair_is_cut() {
        let folder = vocab(&TOKENS);
        let path = folder.path().join("vocab.txt");
        let open = || TextTokenizer::from_vocab(&path, true).unwrap().with_limits(9, 8).unwrap();
        let tokenizer = open().for_pairs(9).unwrap();
        let pair = |a: &str, b: &str| tokenizer.encode_pair(a, b).unwrap();
        let cut = pair("crab", "the the the crabs");
        assert_eq!(cut.ids, [2, 5, 6, 3, 4, 4, 4, 5, 3]);
        assert_eq!(cut.types, [0, 0, 0, 0, 1, 1, 1, 1, 1]);
        assert_eq!(pair("the the the the the the", "crab").ids, [2, 4, 4, 4, 4, 3, 5, 6, 3]);
        let error = open().for_pairs(4).unwrap_err().to_string();
        assert_eq!(error, "max tokens 4 leaves no room beside 3 special tokens");
    }

    #[test]
    fn words_are_found_where_they_stand() {
        let folder = vocab(&TOKENS);
        let tokenizer = TextTokenizer::from_vocab(&folder.path().join("vocab.txt"), true).unwrap();
        let tokenizer = tokenizer.with_limits(7, 8).unwrap();
        let text = "é The CRABS the the";
        let words = tokenizer.encode_words(text).unwrap();
        assert_eq!(words.ids, tokenizer.encode(text).unwrap().ids);
        let found: Vec<(usize, &str)> =
            words.words.iter().map(|(token, place)| (*token, &text[place.clone()])).collect();
        assert_eq!(found, [(1, "é"), (2, "The"), (3, "CRABS")]);
    }

    #[test]
    fn all_tokens_are_shown_with_where_they_stand() {
        let folder = vocab(&TOKENS);
        let tokenizer = TextTokenizer::from_vocab(&folder.path().join("vocab.txt"), true).unwrap();
        // Three tokens of the text fit, and five more are shown.
        let tokenizer = tokenizer.with_limits(5, 8).unwrap();
        let text = "é The crabs the the the";
        let tokens = tokenizer.tokens(text, true).unwrap();
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        assert_eq!(ids, [2, 1, 4, 5, 6, 7, 4, 4, 4, 3]);
        let shown: Vec<&str> = tokens.iter().map(|token| &*token.text).collect();
        assert_eq!(shown, ["[CLS]", "é", "The", "cra", "b", "s", "the", "the", "the", "[SEP]"]);
        assert_eq!((tokens[0].chars.clone(), tokens[2].chars.clone()), (None, Some(2..5)));
        assert_eq!(tokenizer.tokens(text, false).unwrap(), tokens[1..9]);
        assert_eq!(tokenizer.tokens("", false).unwrap(), []);
        assert_eq!(tokenizer.tokens("", true).unwrap().len(), 2);
    }

    #[test]
    fn refusals_name_the_file_and_the_limit() {
        let folder = vocab(&TOKENS[..3]);
        let path = folder.path().join("vocab.txt");
        let error = TextTokenizer::from_vocab(&path, true).unwrap_err().to_string();
        assert!(error.ends_with("vocab.txt lacks [SEP]"), "{error}");

        let folder = vocab(&TOKENS);
        let path = folder.path().join("vocab.txt");
        let open = || TextTokenizer::from_vocab(&path, true).unwrap();
        assert_eq!(
            open().with_limits(5, 7).unwrap_err().to_string(),
            "tokenizer has ids up to 7, the model has 7 embeddings"
        );
        assert_eq!(
            open().with_limits(2, 8).unwrap_err().to_string(),
            "max tokens 2 leaves no room beside 2 special tokens"
        );
        assert!(TextTokenizer::from_json(&folder.path().join("no.json")).is_err());
    }
}
