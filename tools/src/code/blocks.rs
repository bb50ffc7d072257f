//! Functions, cut into blocks and encoded.

use anyhow::Context;
use bigrain_encoders::EncodeOptions;
use bigrain_encoders::sea::{CodeBlocks, CodeEncoder, Language, SourceFile};
use bigrain_engine::Cancel;

use crate::progress::Progress;

/// Functions that are encoded together.
const FUNCTIONS_AT_ONCE: usize = 32;

/// Encodes the blocks of functions, each a text and its language, in their order.
///
/// # Errors
///
/// When the encoder refuses a block, or the caller stops it.
pub fn encode_functions(
    encoder: &CodeEncoder,
    functions: &[(&str, Language)],
    cancel: &Cancel,
) -> anyhow::Result<Vec<CodeBlocks>> {
    let mut progress = Progress::counting("encode", "functions", functions.len() as u64);
    let options = EncodeOptions { cancel: cancel.clone(), ..EncodeOptions::default() };
    let mut encoded = Vec::with_capacity(functions.len());
    for functions in functions.chunks(FUNCTIONS_AT_ONCE) {
        let files: Vec<SourceFile<'_>> = functions
            .iter()
            .map(|&(text, language)| SourceFile::new(text, Some(language)))
            .collect();
        let blocks = files.iter().map(|file| encoder.blocks(file, &(0..file.text().len())));
        let (blocks, _) =
            encoder.encode_cut(blocks.collect(), &options).context("encode functions")?;
        encoded.extend(blocks);
        progress.advance(functions.len() as u64, encoded.len() as u64);
    }
    progress.finish();
    Ok(encoded)
}
