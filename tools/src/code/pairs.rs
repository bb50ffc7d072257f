//! Questions whose answers lie deep in a function.
//!
//! A pair is a comment, or the first paragraph of a docstring, and the function that it was taken out of:
//! the document is that function without any of its comments and docstrings. A *deep* comment has more
//! than [`PairOptions::deep_tokens`] of the document's tokens before it, so that an encoder which reads
//! the beginning alone has not read what it is about. Functions without such a comment are left out.
//!
//! Nothing here knows what any encoder makes of a pair: functions are taken at even distances in the
//! order of their files, and of a function's deep comments the longest is asked.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bigrain_encoders::TextEncoder;
use bigrain_encoders::sea::{Language, Snippet, SnippetKind, SourceFile, comment_text};
use bigrain_engine::Cancel;

use super::files::{CodeFiles, read_code};

/// Folders whose code is not what a package is for, or is another package's.
const OUTSIDE: [&str; 5] = ["test", "tests", "idlelib", "site-packages", "node_modules"];

/// Documents shorter than this cannot have deep comments.
const MIN_BYTES: usize = 600;

/// Words of a comment that asks for something.
const WORDS: std::ops::RangeInclusive<usize> = 5..=60;
/// Beginnings of comments that are about something else than the code.
const NOTES: [&str; 9] =
    ["todo", "fixme", "xxx", "noqa", "type:", "pragma", "pylint", "fmt:", "isort"];

/// Which pairs are made.
#[derive(Clone, Copy, Debug)]
pub struct PairOptions {
    /// Functions of each folder, at most.
    pub per_folder: usize,
    /// Tokens of the document before a deep comment, at least one more.
    pub deep_tokens: usize,
}

/// Where a query was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// A comment deep inside.
    DeepComment,
    /// The first paragraph of its docstring.
    Docstring,
}

/// A function without its comments, and what they ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodePair {
    /// Its folder, file and name.
    pub place: String,
    /// Its language.
    pub language: Language,
    /// The function, without comments and docstrings.
    pub document: String,
    /// Its longest deep comment.
    pub comment: String,
    /// The first paragraph of its docstring, if it has one of some words.
    pub docstring: Option<String>,
}

/// Makes the pairs of some folders; `encoder` counts tokens.
///
/// # Errors
///
/// When a folder is not there, or the caller stops it.
pub fn code_pairs(
    folders: &[PathBuf],
    options: PairOptions,
    encoder: &dyn TextEncoder,
    cancel: &Cancel,
) -> anyhow::Result<Vec<CodePair>> {
    let mut pairs = Vec::new();
    for folder in folders {
        let found = functions_of(folder, cancel, |source, snippet, file| {
            let place = format!("{file} {}", snippet.name);
            pair(source, snippet, options.deep_tokens, encoder, place)
        })?;
        pairs.extend(at_even_distances(found, options.per_folder));
    }
    Ok(pairs)
}

/// Returns what `make` makes of the functions of a folder, in the order of its files: it is given each with its
/// source file and the path of that, the folder before it.
pub(super) fn functions_of<T>(
    folder: &Path,
    cancel: &Cancel,
    mut make: impl FnMut(&SourceFile<'_>, &Snippet, &str) -> Option<T>,
) -> anyhow::Result<Vec<T>> {
    let mut found = Vec::new();
    for file in CodeFiles::list(folder, cancel)?.files {
        cancel.check()?;
        let outside = |name: &str| OUTSIDE.contains(&name);
        if Path::new(&file.name).iter().any(|name| name.to_str().is_some_and(outside)) {
            continue;
        }
        let Ok(text) = read_code(&file) else { continue };
        let source = SourceFile::new(&text, Some(file.language));
        let path = format!("{}/{}", folder.display(), file.name);
        for snippet in source.snippets() {
            if matches!(snippet.kind, SnippetKind::Function | SnippetKind::Method) {
                found.extend(make(&source, &snippet, &path));
            }
        }
    }
    Ok(found)
}

/// Returns up to so many of some things, at even distances.
pub(super) fn at_even_distances<T>(found: Vec<T>, limit: usize) -> Vec<T> {
    let (count, wanted) = (found.len(), limit.min(found.len()));
    let mut chosen = (0..wanted).map(|index| index * count / wanted).peekable();
    let is_chosen = |(index, thing)| chosen.next_if_eq(&index).map(|_| thing);
    found.into_iter().enumerate().filter_map(is_chosen).collect()
}

/// Returns the first paragraph of a function's documentation on one line, if that says anything.
pub(super) fn first_paragraph(doc: &str) -> Option<String> {
    let paragraph = one_line(doc.split("\n\n").next().unwrap_or_default());
    (paragraph.split(' ').count() >= 4).then_some(paragraph)
}

/// Makes the pair of a function, if it has a deep comment.
fn pair(
    source: &SourceFile<'_>,
    snippet: &Snippet,
    deep_tokens: usize,
    encoder: &dyn TextEncoder,
    place: String,
) -> Option<CodePair> {
    let bytes = &snippet.span.bytes;
    if bytes.len() < MIN_BYTES {
        return None;
    }
    let document = source.without_comments(bytes);
    if document.len() < MIN_BYTES {
        return None;
    }
    let is_deep = |start: usize| {
        count_tokens(&source.without_comments(&(bytes.start..start)), encoder) > deep_tokens
    };
    let mut comments: Vec<(String, usize)> = paragraphs(source, bytes)
        .into_iter()
        .map(|(text, start)| (one_line(&text), start))
        .filter(|(text, _)| asks(text))
        .collect();
    // Stable: of two equally long ones the first is asked.
    comments.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    let (comment, _) = comments.into_iter().find(|&(_, start)| is_deep(start))?;
    let docstring = first_paragraph(&snippet.doc);
    let language = source.language()?;
    Some(CodePair { place, language, document, comment, docstring })
}

/// Returns the comments on lines of their own, those on adjacent lines together, and where each starts.
fn paragraphs(source: &SourceFile<'_>, bytes: &Range<usize>) -> Vec<(String, usize)> {
    let mut paragraphs: Vec<(String, usize)> = Vec::new();
    let mut next = None;
    for comment in source.comments(bytes) {
        let line = source.text()[..comment.start].rfind('\n').map_or(0, |at| at + 1);
        if !source.slice(line..comment.start).trim().is_empty() {
            continue;
        }
        let span = source.span(comment.clone());
        let at = (span.first_line, comment.start - line);
        let text = comment_text(source.slice(comment.clone()));
        match paragraphs.last_mut() {
            Some((paragraph, _)) if next == Some(at) => {
                paragraph.push(' ');
                paragraph.push_str(&text);
            }
            Some(_) | None => paragraphs.push((text, comment.start)),
        }
        next = Some((span.last_line + 1, at.1));
    }
    paragraphs
}

/// Whether a comment says in words what its code does.
fn asks(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words: Vec<&str> = text.split(' ').collect();
    let letters = text.chars().filter(|c| c.is_alphabetic() || *c == ' ').count();
    let is_word = |word: &&&str| {
        let word = word.trim_end_matches(['.', ',', ':', ';']);
        let rest = |c: char| c.is_ascii_alphabetic() || c == '\'' || c == '-';
        word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.chars().all(rest)
    };
    WORDS.contains(&words.len())
        && !NOTES.iter().any(|note| lower.starts_with(note))
        && letters * 100 >= text.chars().count() * 85
        && words.iter().filter(is_word).count() * 10 >= words.len() * 7
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Counts the tokens of a text of any length, line by line.
fn count_tokens(text: &str, encoder: &dyn TextEncoder) -> usize {
    let special = encoder.count_tokens("");
    text.lines().map(|line| encoder.count_tokens(line) - special).sum()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bigrain_encoders::ToyEncoder;

    use super::*;

    fn pairs(code: &str, deep_tokens: usize) -> Vec<CodePair> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tests")).unwrap();
        fs::write(folder.path().join("a.py"), code).unwrap();
        fs::write(folder.path().join("tests/b.py"), code).unwrap();
        let options = PairOptions { per_folder: 9, deep_tokens };
        let folders = [folder.path().to_owned()];
        code_pairs(&folders, options, &ToyEncoder::new(4), &Cancel::new()).unwrap()
    }

    fn function() -> String {
        let body: String = (0..60).map(|i| format!("    value_{i} = compute ( {i} )\n")).collect();
        format!(
            "def f(x):\n    \"\"\"Computes all the values.\n\n    More.\n    \"\"\"\n{body}\
             \x20   # Shallow if read by tokens, this one.\n    # And it goes on here.\n    y = 1  # not on its own line at all\n\
             \x20   # TODO nobody ever asked for this to be done\n    # x = 1 + 2 * 3\n    return y\n"
        )
    }

    #[test]
    fn the_longest_deep_comment_is_asked_of_the_function_without_it() {
        let pairs = pairs(&function(), 300);
        assert_eq!(pairs.len(), 1);
        let pair = &pairs[0];
        assert_eq!(pair.comment, "Shallow if read by tokens, this one. And it goes on here.");
        assert_eq!(pair.docstring.as_deref(), Some("Computes all the values."));
        assert!(pair.place.ends_with("/a.py f"), "{}", pair.place);
        assert!(!pair.document.contains('#') && !pair.document.contains("Computes"));
        assert!(
            pair.document.starts_with("def f(x):\n    value_0")
                && pair.document.ends_with("return y")
        );
    }

    #[test]
    fn comments_that_are_not_deep_make_no_pair() {
        assert!(pairs(&function(), 400).is_empty());
        assert!(pairs("# Some words that stand alone here.\nx = 1\n", 0).is_empty());
    }
}
