//! Pairs of usage examples and definitions, of WordNet's `data.*` files.
//!
//! ```text
//!  00001740 00 a 01 able 0 005 = 05200169 n 0000 ... | having the means; "able to swim"; "a man able in his work"
//!  place  file  | words, each with its number      pointers              definition      examples
//!              kind and (hexadecimal) how many words
//! ```
//!
//! Each line is a document as a dictionary has it: its words and what is left of the definition without the
//! examples, `able: having the means`. Each example of three words or more is a query for it.

use std::path::Path;

use anyhow::{Context, bail};

/// The files, in the order in which their lines are documents.
const FILES: [&str; 4] = ["data.adj", "data.adv", "data.noun", "data.verb"];

/// The least words of a query.
const MIN_WORDS: usize = 3;

/// Definitions, and the examples that belong to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordNet {
    /// Words with their definitions.
    pub documents: Vec<String>,
    /// Examples, and the definition of each.
    pub pairs: Vec<(String, u32)>,
}

impl WordNet {
    /// Reads the files of a folder.
    ///
    /// # Errors
    ///
    /// When one of them is not there, or no line in them is a definition.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut found = Self::default();
        for file in FILES.map(|name| folder.join(name)) {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("read {} of WordNet", file.display()))?;
            text.lines().for_each(|line| found.take(line));
        }
        if found.documents.is_empty() {
            bail!("{} holds no definitions", folder.display());
        }
        Ok(found)
    }

    fn take(&mut self, line: &str) {
        // The licence at the top is indented.
        let Some((head, gloss)) = line.split_once(" | ").filter(|_| !line.starts_with("  ")) else {
            return;
        };
        let mut head = head.split(' ').skip(3);
        let count = head.next().and_then(|count| usize::from_str_radix(count, 16).ok());
        let entries: Vec<String> =
            head.step_by(2).take(count.unwrap_or_default()).map(plain).collect();
        // What lies between quotes, and what does not.
        let (mut definition, mut examples) = (String::new(), Vec::new());
        let mut rest = gloss;
        while let Some((before, (example, after))) = rest
            .split_once('"')
            .and_then(|(before, quoted)| Some((before, quoted.split_once('"')?)))
        {
            definition.push_str(before);
            examples.push(example);
            rest = after;
        }
        definition.push_str(rest);
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let definition = words(definition.trim_matches([' ', ';', ':', ',']));
        if definition.is_empty() || entries.is_empty() {
            return;
        }
        let document = self.documents.len() as u32;
        self.documents.push(format!("{}: {definition}", entries.join(", ")));
        for example in examples {
            if example.split_whitespace().count() >= MIN_WORDS {
                self.pairs.push((words(example), document));
            }
        }
    }
}

/// Returns a word as people write it: `wing_it` and `galore(ip)` have marks of WordNet's.
fn plain(word: &str) -> String {
    word.split('(').next().unwrap_or_default().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_definitions_and_their_examples() {
        let mut wordnet = WordNet::default();
        wordnet.take("  1 This software and database is being provided | to you");
        wordnet.take("00001740 00 a 01 able 0 001 = 1 | having the means;  \"able to swim\"; \"able\"; \"she was able to program her computer\"  ");
        wordnet.take("00002098 00 a 02 at_sea(p) 0 unable 0 001 = 1 | not having the means  ");
        wordnet.take("no bar");
        wordnet.take("no | word");
        let documents = ["able: having the means", "at sea, unable: not having the means"];
        assert_eq!(wordnet.documents, documents);
        let pair = |text: &str, document| (text.to_owned(), document);
        assert_eq!(
            wordnet.pairs,
            [pair("able to swim", 0), pair("she was able to program her computer", 0)]
        );
    }

    #[test]
    fn a_folder_without_the_files_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = format!("{:#}", WordNet::read(folder.path()).unwrap_err());
        assert!(error.contains("data.adj"), "{error}");
    }
}
