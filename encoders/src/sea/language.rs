//! The languages whose syntax is known.

use std::path::Path;
use std::sync::OnceLock;

use tree_sitter::{Parser, Query, Tree};

/// What opens code in a PHP file; text without it is code from the start.
const PHP_TAG: &str = "<?";

/// A programming language.
///
/// Its grammar is compiled in by the Cargo feature of its name (`typescript` for both
/// [`Self::TypeScript`] and [`Self::Tsx`]); without it, code is split at lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Language {
    /// C.
    C,
    /// C++, and headers of either.
    Cpp,
    /// Go.
    Go,
    /// Java.
    Java,
    /// JavaScript, with JSX.
    JavaScript,
    /// PHP.
    Php,
    /// Python.
    Python,
    /// Ruby.
    Ruby,
    /// Rust.
    Rust,
    /// TypeScript with JSX.
    Tsx,
    /// TypeScript.
    TypeScript,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::C,
        Self::Cpp,
        Self::Go,
        Self::Java,
        Self::JavaScript,
        Self::Php,
        Self::Python,
        Self::Ruby,
        Self::Rust,
        Self::Tsx,
        Self::TypeScript,
    ];

    /// Returns the language of a file by its extension.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Self::ALL.into_iter().find(|language| language.extensions().contains(&&*extension))
    }

    /// Returns its name in lower case: `python`, `cpp`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Cpp => "cpp",
            Self::Go => "go",
            Self::Java => "java",
            Self::JavaScript => "javascript",
            Self::Php => "php",
            Self::Python => "python",
            Self::Ruby => "ruby",
            Self::Rust => "rust",
            Self::Tsx | Self::TypeScript => "typescript",
        }
    }

    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::C => &["c"],
            Self::Cpp => &["cc", "cpp", "cxx", "h", "hh", "hpp", "hxx", "inl"],
            Self::Go => &["go"],
            Self::Java => &["java"],
            Self::JavaScript => &["js", "cjs", "mjs", "jsx"],
            Self::Php => &["php"],
            Self::Python => &["py", "pyi"],
            Self::Ruby => &["rb", "rake"],
            Self::Rust => &["rs"],
            Self::Tsx => &["tsx"],
            Self::TypeScript => &["ts", "cts", "mts"],
        }
    }

    /// Returns what stands between the name of a type and that of its method.
    pub(super) fn separator(self) -> &'static str {
        match self {
            Self::C | Self::Cpp | Self::Php | Self::Ruby | Self::Rust => "::",
            Self::Go
            | Self::Java
            | Self::JavaScript
            | Self::Python
            | Self::Tsx
            | Self::TypeScript => ".",
        }
    }

    /// Parses a text; `None` if its grammar is not compiled in.
    pub(super) fn parse(self, text: &str) -> Option<Tree> {
        let mut parser = Parser::new();
        parser.set_language(&self.grammar(text)?).ok()?;
        parser.parse(text, None)
    }

    /// Returns the query that finds snippets in a text; `None` if its grammar is not compiled in.
    pub(super) fn query(self, text: &str) -> Option<&'static Query> {
        // A query belongs to a grammar, and PHP has two.
        static QUERIES: [OnceLock<Option<Query>>; Language::ALL.len() + 1] =
            [const { OnceLock::new() }; Language::ALL.len() + 1];
        let bare_php = self == Self::Php && !text.contains(PHP_TAG);
        let index = if bare_php { Self::ALL.len() } else { self as usize };
        let compile = || Query::new(&self.grammar(text)?, self.query_text()).ok();
        QUERIES[index].get_or_init(compile).as_ref()
    }

    fn query_text(self) -> &'static str {
        match self {
            Self::C => include_str!("queries/c.scm"),
            Self::Cpp => include_str!("queries/cpp.scm"),
            Self::Go => include_str!("queries/go.scm"),
            Self::Java => include_str!("queries/java.scm"),
            Self::JavaScript => include_str!("queries/javascript.scm"),
            Self::Php => include_str!("queries/php.scm"),
            Self::Python => include_str!("queries/python.scm"),
            Self::Ruby => include_str!("queries/ruby.scm"),
            Self::Rust => include_str!("queries/rust.scm"),
            Self::Tsx | Self::TypeScript => include_str!("queries/typescript.scm"),
        }
    }

    /// Returns the grammar for a text; PHP without its opening tag has one of its own.
    fn grammar(self, text: &str) -> Option<tree_sitter::Language> {
        match self {
            #[cfg(feature = "c")]
            Self::C => Some(tree_sitter_c::LANGUAGE.into()),
            #[cfg(feature = "cpp")]
            Self::Cpp => Some(tree_sitter_cpp::LANGUAGE.into()),
            #[cfg(feature = "go")]
            Self::Go => Some(tree_sitter_go::LANGUAGE.into()),
            #[cfg(feature = "java")]
            Self::Java => Some(tree_sitter_java::LANGUAGE.into()),
            #[cfg(feature = "javascript")]
            Self::JavaScript => Some(tree_sitter_javascript::LANGUAGE.into()),
            #[cfg(feature = "php")]
            Self::Php if text.contains(PHP_TAG) => Some(tree_sitter_php::LANGUAGE_PHP.into()),
            #[cfg(feature = "php")]
            Self::Php => Some(tree_sitter_php::LANGUAGE_PHP_ONLY.into()),
            #[cfg(feature = "python")]
            Self::Python => Some(tree_sitter_python::LANGUAGE.into()),
            #[cfg(feature = "ruby")]
            Self::Ruby => Some(tree_sitter_ruby::LANGUAGE.into()),
            #[cfg(feature = "rust")]
            Self::Rust => Some(tree_sitter_rust::LANGUAGE.into()),
            #[cfg(feature = "typescript")]
            Self::Tsx => Some(tree_sitter_typescript::LANGUAGE_TSX.into()),
            #[cfg(feature = "typescript")]
            Self::TypeScript => Some(tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into()),
            #[cfg(not(all(
                feature = "c",
                feature = "cpp",
                feature = "go",
                feature = "java",
                feature = "javascript",
                feature = "php",
                feature = "python",
                feature = "ruby",
                feature = "rust",
                feature = "typescript"
            )))]
            _ => {
                let _ = text;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_language_of_their_extension() {
        let of = |path: &str| Language::of_path(Path::new(path));
        assert_eq!(of("a/b.PY"), Some(Language::Python));
        assert_eq!(of("x.d.ts"), Some(Language::TypeScript));
        assert_eq!(of("x.h"), Some(Language::Cpp));
        assert_eq!((of("Makefile"), of("a.md"), of(".rs")), (None, None, None));
    }

    #[cfg(feature = "grammars")]
    #[test]
    fn every_language_parses_and_its_query_compiles() {
        for language in Language::ALL {
            assert!(language.parse("").is_some(), "{language:?}");
            assert!(language.query("").is_some(), "{language:?}");
            assert!(language.query(PHP_TAG).is_some(), "{language:?}");
        }
    }

    #[cfg(feature = "grammars")]
    #[test]
    fn tables_name_languages_in_the_order_of_their_numbers() {
        for (index, language) in Language::ALL.into_iter().enumerate() {
            assert_eq!(language as usize, index);
        }
    }
}
