//! What functions are documented as, and the functions without that.
//!
//! A pair is the first paragraph of a function's docstring or comment, and the function without any of its
//! comments: what a search for code is asked and what it should find. A paragraph that stands at several
//! functions, and a function that is there twice (in two versions of a package), count at the first.

use std::collections::HashSet;
use std::path::PathBuf;

use bigrain_encoders::sea::Language;
use bigrain_engine::Cancel;

use super::pairs::{at_even_distances, first_paragraph, functions_of};

/// Which pairs are made.
#[derive(Clone, Copy, Debug)]
pub struct DocstringOptions {
    /// Functions of each folder, at most.
    pub per_folder: usize,
    /// Bytes of a function without its comments, at least.
    pub min_bytes: usize,
}

/// A function without its comments, and what it is documented as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocstringPair {
    /// Its folder and file.
    pub file: String,
    /// Its language.
    pub language: Language,
    /// The function, without comments and docstrings.
    pub document: String,
    /// The first paragraph of its documentation.
    pub docstring: String,
}

/// Makes the pairs of some folders, in the order of their files; of tests none.
///
/// # Errors
///
/// When a folder is not there, or the caller stops it.
pub fn docstring_pairs(
    folders: &[PathBuf],
    options: DocstringOptions,
    cancel: &Cancel,
) -> anyhow::Result<Vec<DocstringPair>> {
    let (mut seen, mut pairs) = (HashSet::new(), Vec::new());
    for folder in folders {
        let found = functions_of(folder, cancel, |source, snippet, file| {
            let docstring = first_paragraph(&snippet.doc)?;
            if snippet.is_test || snippet.span.bytes.len() < options.min_bytes {
                return None;
            }
            let document = source.without_comments(&snippet.span.bytes);
            let is_new = document.len() >= options.min_bytes
                && !seen.contains(&docstring)
                && !seen.contains(&document);
            if !is_new {
                return None;
            }
            seen.extend([docstring.clone(), document.clone()]);
            let (file, language) = (file.to_owned(), source.language()?);
            Some(DocstringPair { file, language, document, docstring })
        })?;
        pairs.extend(at_even_distances(found, options.per_folder));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn documented_functions_are_paired_with_themselves_without_comments_once() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let take = "/// Takes an idle connection out of the pool.\n///\n/// # Panics\nfn take() -> Connection {\n    // The last one is warm.\n    pool().pop().unwrap()\n}\n";
        write("a.rs", &format!("{take}\n/// Too short a function, this.\nfn f() {{}}\n"));
        // The same function, and another one of the same words.
        let again = take.replace("idle", "unused");
        let other = take.replace("pool().pop()", "pool().last_one_of_all()");
        write("b.rs", &format!("{again}\n{other}\n"));
        write("c.rs", &format!("#[test]\n{}", take.replace("Takes an", "Has any")));
        write("tests/d.rs", &take.replace("Takes an", "Wants an"));
        write(
            "e.py",
            "def g(x):\n    \"\"\"Returns the larger half of a list.\"\"\"\n    return x[len(x) // 2 :] or x[: len(x) // 2]\n",
        );
        let folders = [folder.path().to_owned()];
        let pairs = |per_folder: usize| {
            let options = DocstringOptions { per_folder, min_bytes: 40 };
            docstring_pairs(&folders, options, &Cancel::new()).unwrap()
        };
        let found = pairs(9);
        let asked: Vec<&str> = found.iter().map(|pair| pair.docstring.as_str()).collect();
        assert_eq!(
            asked,
            ["Takes an idle connection out of the pool.", "Returns the larger half of a list."]
        );
        assert_eq!(found[0].document, "fn take() -> Connection {\n    pool().pop().unwrap()\n}");
        assert!(found[0].file.ends_with("/a.rs") && found[1].language == Language::Python);
        assert_eq!(pairs(1), found[..1]);
    }
}
