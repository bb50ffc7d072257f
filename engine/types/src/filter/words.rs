//! Words of a text, as full-text conditions compare them.

/// Words of this many bytes or more are left out.
pub const MAX_WORD_BYTES: usize = 40;

/// Returns the words of a text: runs of letters and digits in lower case. Runs of
/// [`MAX_WORD_BYTES`] bytes or more are left out. This is what tantivy's default tokenizer does.
///
/// ```
/// use bigrain_types::filter::words;
///
/// let found: Vec<String> = words("Don't panic, Été 42!").collect();
/// assert_eq!(found, ["don", "t", "panic", "été", "42"]);
/// ```
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty() && word.len() < MAX_WORD_BYTES)
        .map(lower)
}

/// Letter by letter, where `str::to_lowercase` looks at a sigma's neighbours.
fn lower(word: &str) -> String {
    word.chars().flat_map(char::to_lowercase).collect()
}
