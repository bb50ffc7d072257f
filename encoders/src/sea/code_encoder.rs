//! Split, encode, aggregate, over any text encoder.

use std::ops::Range;
use std::sync::Arc;

use bigrain_types::normalize;

use super::aggregator::{Aggregator, AggregatorError};
use super::block::{Block, SplitOptions, SplitOptionsError};
use super::source_file::SourceFile;
use super::span::Span;
use crate::embeddings::{Embeddings, EncodeStats};
use crate::encoder::{EncodeError, EncodeOptions, MAX_TEXT_BYTES, TextEncoder};

/// Encodes snippets of code: each as one vector, or as a vector for each of its blocks.
///
/// ```
/// use std::sync::Arc;
///
/// use bigrain_encoders::sea::{CodeEncoder, Language, SourceFile};
/// use bigrain_encoders::{EncodeOptions, ToyEncoder};
///
/// let encoder = CodeEncoder::new(Arc::new(ToyEncoder::new(64)));
/// let file = SourceFile::new("def f():\n    return 1\n", Some(Language::Python));
/// let snippet = &file.snippets()[0];
/// let blocks = encoder.encode_blocks(&file, &[snippet.span.bytes.clone()], &EncodeOptions::default())?;
/// assert_eq!((blocks[0].spans().len(), blocks[0].spans()[0].first_line), (1, 1));
/// # Ok::<(), bigrain_encoders::EncodeError>(())
/// ```
#[derive(Clone)]
pub struct CodeEncoder {
    encoder: Arc<dyn TextEncoder>,
    options: SplitOptions,
    aggregator: Aggregator,
    /// Tokens that the encoder adds to every text.
    special_tokens: usize,
}

/// The encoded blocks of a snippet: the whole of it first, and then, unless the encoder reads all of
/// that, its windows in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeBlocks {
    dims: usize,
    spans: Vec<Span>,
    data: Vec<f32>,
}

impl CodeBlocks {
    /// Returns what each block stands for.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Returns the vectors, of length one, in the order of the spans.
    pub fn vectors(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.dims.max(1))
    }

    /// Returns the values of all vectors, one after the other.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }
}

impl CodeEncoder {
    /// Wraps an encoder, with the default options and aggregator.
    #[must_use]
    pub fn new(encoder: Arc<dyn TextEncoder>) -> Self {
        let special_tokens = encoder.count_tokens("");
        let (options, aggregator) = (SplitOptions::default(), Aggregator::default());
        Self { encoder, options, aggregator, special_tokens }
    }

    /// Cuts with other options.
    ///
    /// # Errors
    ///
    /// When a number is out of range.
    pub fn with_split(mut self, options: SplitOptions) -> Result<Self, SplitOptionsError> {
        options.validate()?;
        self.options = options;
        Ok(self)
    }

    /// Aggregates otherwise.
    ///
    /// # Errors
    ///
    /// When the aggregator was trained on vectors of other dimensions, or of another space.
    pub fn with_aggregator(mut self, aggregator: Aggregator) -> Result<Self, AggregatorError> {
        aggregator.check(self.encoder.as_ref())?;
        self.aggregator = aggregator;
        Ok(self)
    }

    /// Returns the encoder of blocks and queries.
    #[must_use]
    pub fn encoder(&self) -> &dyn TextEncoder {
        self.encoder.as_ref()
    }

    /// Cuts some bytes of a file into blocks.
    #[must_use]
    pub fn blocks<'a>(&self, file: &SourceFile<'a>, bytes: &Range<usize>) -> Vec<Block<'a>> {
        let special = self.special_tokens;
        let limit = self.encoder.max_tokens().saturating_sub(special).max(1);
        let tokens = |text: &str| self.encoder.count_tokens(text).saturating_sub(special);
        self.options.blocks(file, bytes, limit, &tokens)
    }

    /// Encodes the blocks of snippets, each some bytes of `file`; nothing for a snippet without a visible
    /// character. All blocks are encoded together, which is fastest.
    ///
    /// # Errors
    ///
    /// As [`TextEncoder::encode`]; positions count blocks.
    pub fn encode_blocks(
        &self,
        file: &SourceFile<'_>,
        snippets: &[Range<usize>],
        options: &EncodeOptions,
    ) -> Result<Vec<CodeBlocks>, EncodeError> {
        let blocks = snippets.iter().map(|bytes| self.blocks(file, bytes)).collect();
        Ok(self.encode_cut(blocks, options)?.0)
    }

    /// Encodes snippets as a vector each, of length one; zeros for one without a visible character.
    ///
    /// # Errors
    ///
    /// As [`Self::encode_blocks`].
    pub fn encode(
        &self,
        file: &SourceFile<'_>,
        snippets: &[Range<usize>],
        options: &EncodeOptions,
    ) -> Result<Embeddings, EncodeError> {
        let blocks = snippets.iter().map(|bytes| self.blocks(file, bytes)).collect();
        let (snippets, stats) = self.encode_cut(blocks, options)?;
        let vectors = snippets.iter().flat_map(|snippet| self.aggregate(snippet)).collect();
        Ok(Embeddings::new(self.encoder.dims(), vectors, stats))
    }

    /// Encodes blocks that were cut before, of any files; returns them by snippet, and what it took.
    ///
    /// # Errors
    ///
    /// As [`TextEncoder::encode`]; positions count blocks.
    pub fn encode_cut(
        &self,
        snippets: Vec<Vec<Block<'_>>>,
        options: &EncodeOptions,
    ) -> Result<(Vec<CodeBlocks>, EncodeStats), EncodeError> {
        let blocks = snippets.iter().flatten();
        let texts: Vec<&str> = blocks.map(|block| readable(&block.text)).collect();
        let dims = self.encoder.dims();
        if texts.is_empty() {
            let empty = CodeBlocks { dims, spans: Vec::new(), data: Vec::new() };
            return Ok((vec![empty; snippets.len()], EncodeStats::default()));
        }
        let embeddings = self.encoder.encode(&texts, options)?;
        let mut rows = embeddings.iter();
        let encoded = snippets.into_iter().map(|blocks| {
            let mut data = Vec::with_capacity(blocks.len() * dims);
            let spans: Vec<Span> = blocks.into_iter().map(|block| block.span).collect();
            for row in rows.by_ref().take(spans.len()) {
                data.extend_from_slice(row);
            }
            data.chunks_exact_mut(dims.max(1)).for_each(normalize);
            CodeBlocks { dims, spans, data }
        });
        let encoded = encoded.collect();
        Ok((encoded, embeddings.stats()))
    }

    /// Aggregates the blocks of a snippet.
    #[must_use]
    pub fn aggregate(&self, blocks: &CodeBlocks) -> Vec<f32> {
        self.aggregator.aggregate(&blocks.data, blocks.dims)
    }
}

impl std::fmt::Debug for CodeEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeEncoder")
            .field("options", &self.options)
            .field("aggregator", &self.aggregator)
            .finish_non_exhaustive()
    }
}

/// Returns the beginning of a text that an encoder takes at all: it reads far less.
fn readable(text: &str) -> &str {
    let text = text.trim_start();
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

#[cfg(test)]
mod tests {
    use bigrain_types::EmbeddingSpaceId;
    use proptest::prelude::*;

    use super::super::attention::{Attention, AttentionOrigin, AttentionParts};
    use super::super::block::PieceKind;
    use super::super::language::Language;
    use super::*;
    use crate::toy::ToyEncoder;

    const DIMS: usize = 32;

    fn encoder(options: SplitOptions) -> CodeEncoder {
        CodeEncoder::new(Arc::new(ToyEncoder::new(DIMS))).with_split(options).unwrap()
    }

    fn limited(max_tokens: usize) -> SplitOptions {
        SplitOptions { max_tokens, ..SplitOptions::default() }
    }

    #[test]
    fn a_short_snippet_is_one_block_and_a_long_one_has_windows_behind_the_whole() {
        let code = "def f():\n    a = 1\n    b = 2\n    return a + b\n";
        let file = SourceFile::new(code, Some(Language::Python));
        let spans = |max_tokens: usize| -> Vec<(usize, usize)> {
            let blocks = encoder(limited(max_tokens)).blocks(&file, &(0..code.len()));
            blocks.iter().map(|block| (block.span.first_line, block.span.last_line)).collect()
        };
        assert_eq!(spans(12), [(1, 4)]);
        assert_eq!(spans(11)[0], (1, 4));
        assert_eq!(spans(6), [(1, 4), (1, 2), (2, 3), (3, 3), (4, 4)]);
    }

    #[test]
    fn a_query_finds_the_block_that_says_it() {
        let lines: String = (0..40).map(|i| format!("    step_{i} = run_{i} ( )\n")).collect();
        let code = format!("def f():\n{lines}    # the needle in the hay\n    return 1\n");
        let file = SourceFile::new(&code, Some(Language::Python));
        let encoder = encoder(limited(30));
        let whole = std::slice::from_ref(&(0..code.len())).to_vec();
        let blocks = encoder.encode_blocks(&file, &whole, &EncodeOptions::default()).unwrap();
        let query = encoder.encoder().encode_query("the needle in the hay").unwrap();
        let score = |row: &[f32]| row.iter().zip(&query).map(|(a, b)| a * b).sum::<f32>();
        let scores: Vec<f32> = blocks[0].vectors().map(score).collect();
        let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
        let span = &blocks[0].spans()[best];
        assert!(span.first_line > 30 && span.last_line >= 42, "{span:?}");
    }

    #[test]
    fn one_vector_is_the_aggregate_of_the_blocks() {
        let code = "x = 1\ny = 2\nz = 3\n";
        let file = SourceFile::new(code, Some(Language::Python));
        let snippets = [0..code.len(), 0..0, 0..6];
        let encoder = encoder(limited(4));
        let options = EncodeOptions::default();
        let vectors = encoder.encode(&file, &snippets, &options).unwrap();
        let blocks = encoder.encode_blocks(&file, &snippets, &options).unwrap();
        assert_eq!(vectors.rows(), 3);
        assert_eq!(vectors.row(0).unwrap(), encoder.aggregate(&blocks[0]));
        assert!(vectors.row(1).unwrap().iter().all(|&value| value == 0.0));
        assert_eq!(vectors.row(2).unwrap(), blocks[2].vectors().next().unwrap());
    }

    #[test]
    fn an_aggregator_of_other_dimensions_or_another_space_is_refused() {
        let encoder = || encoder(limited(4));
        assert!(encoder().with_aggregator(Aggregator::default()).is_ok());
        let own = encoder().encoder().space();
        let trained = |dims: usize, space: EmbeddingSpaceId| {
            let (first, first_bias) = (vec![0.5; dims], vec![0.0]);
            let parts = AttentionParts { dims, first, first_bias, ..AttentionParts::default() };
            let origin = AttentionOrigin {
                space,
                training_seed: 1,
                steps: 1,
                queries: 0,
                mean: 0.0,
                learned: 0.0,
                low: 0.0,
                high: 0.0,
            };
            Aggregator::of(Attention::new(parts, origin).unwrap())
        };
        let refusal =
            |aggregator: Aggregator| encoder().with_aggregator(aggregator).unwrap_err().to_string();
        assert!(encoder().with_aggregator(trained(DIMS, own)).is_ok());
        assert_eq!(
            refusal(trained(3, own)),
            format!("dimension mismatch: attention has 3, encoder has {DIMS}")
        );
        let other = EmbeddingSpaceId::from_bytes([9; 16]);
        assert!(refusal(trained(DIMS, other)).starts_with("embedding space mismatch"));
    }

    fn any_kind() -> impl Strategy<Value = PieceKind> {
        let syntax = (0usize..7, 0usize..5)
            .prop_map(|(max_depth, min_line)| PieceKind::Syntax { max_depth, min_line });
        prop_oneof![syntax, Just(PieceKind::Token), Just(PieceKind::Word), Just(PieceKind::Line)]
    }

    /// Text that looks like code of some language, more or less.
    fn any_code() -> impl Strategy<Value = String> {
        let words = prop::sample::select(vec![
            "def f(x):\n",
            "    return x\n",
            "fn g() {",
            "}\n",
            "/* c */",
            "# d\n",
            "// e\n",
            "\"s\"",
            "'",
            "class A:\n",
            "if (x) {\n",
            ";\n",
            "\n\n",
            "\t",
            "é🦀",
            "<?php ",
            "=> ",
            "x",
            "= 1\n",
            "\r\n",
            "(",
            ")",
            "\u{0}",
        ]);
        prop_oneof![
            prop::collection::vec(words, 0..60).prop_map(|words| words.concat()),
            any::<String>()
        ]
    }

    proptest! {
        #[test]
        fn blocks_cover_every_visible_byte_of_any_text(
            code in any_code(),
            language in prop::option::of(prop::sample::select(Language::ALL.to_vec())),
            pieces in any_kind(),
            (window, step) in (1usize..9).prop_flat_map(|window| (Just(window), 1..=window)),
            max_tokens in 1usize..20,
            reference_compat in any::<bool>(),
        ) {
            let options = SplitOptions { pieces, window, step, max_tokens, reference_compat };
            let encoder = encoder(options);
            let file = SourceFile::new(&code, language);
            let blocks = encoder.blocks(&file, &(0..code.len()));
            prop_assert_eq!(&blocks, &encoder.blocks(&file, &(0..code.len())));
            let windows = if blocks.len() > 1 && !reference_compat { &blocks[1..] } else { &blocks[..] };
            for (at, c) in code.char_indices().filter(|(_, c)| !c.is_whitespace()) {
                prop_assert!(windows.iter().any(|block| block.span.bytes.contains(&at)), "{c:?} at {at}");
            }
            for block in &blocks {
                prop_assert!(block.span.first_line <= block.span.last_line);
                prop_assert!(block.span.bytes.end <= code.len());
            }
        }

        #[test]
        fn snippets_of_any_text_do_not_overlap(
            code in any_code(),
            language in prop::option::of(prop::sample::select(Language::ALL.to_vec())),
        ) {
            let file = SourceFile::new(&code, language);
            let snippets = file.snippets();
            prop_assert_eq!(snippets.is_empty(), code.trim().is_empty());
            for pair in snippets.windows(2) {
                prop_assert!(pair[0].span.bytes.end <= pair[1].span.bytes.start);
            }
            for snippet in &snippets {
                prop_assert!(code.get(snippet.span.bytes.clone()).is_some());
                let _ = file.without_comments(&snippet.span.bytes);
            }
        }
    }
}
