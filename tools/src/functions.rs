//! Documented functions in Rust source text.
//!
//! A function counts when its doc comment has at least [`MIN_DOC_CHARS`] characters of prose
//! before its first heading or code block. Free functions and methods count alike, public or not;
//! functions under `#[cfg(test)]` do not.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, ExprLit, File, ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemTrait, Lit, Meta,
    Signature, TraitItemFn, Type,
};

/// The least prose a doc comment must have, in characters.
pub const MIN_DOC_CHARS: usize = 40;

/// A documented function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, with the type or trait that it belongs to: `Child::wait`.
    pub name: String,
    /// The line of its signature, from 1.
    pub line: usize,
    /// Its doc comment, without the markers.
    pub docs: String,
    /// Its signature, on one line.
    pub signature: String,
    /// Its body, as written; empty for a trait method without one.
    pub body: String,
}

impl Function {
    /// Returns the doc comment up to the first heading or code block, on one line.
    #[must_use]
    pub fn prose(&self) -> String {
        prose(&self.docs)
    }

    /// Returns the first sentence or line of the doc comment.
    #[must_use]
    pub fn summary(&self) -> String {
        let paragraph = self.docs.trim().split("\n\n").next().unwrap_or_default();
        paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Finds the documented functions of a source file, in the order of their lines.
///
/// # Errors
///
/// When the text is not a Rust source file.
pub fn documented_functions(source: &str) -> syn::Result<Vec<Function>> {
    let file: File = syn::parse_file(source)?;
    let mut finder = Finder { lines: Lines::new(source), owner: None, functions: Vec::new() };
    finder.visit_file(&file);
    // Spans keep every source text of this thread until told that nobody asks for them again.
    drop(file);
    proc_macro2::extra::invalidate_current_thread_spans();
    Ok(finder.functions)
}

struct Finder<'a> {
    lines: Lines<'a>,
    owner: Option<String>,
    functions: Vec<Function>,
}

impl Finder<'_> {
    fn add(&mut self, attributes: &[Attribute], signature: &Signature, body: Option<Span>) {
        let docs = doc_comment(attributes);
        if is_test(attributes) || prose(&docs).chars().count() < MIN_DOC_CHARS {
            return;
        }
        let ident = signature.ident.to_string();
        let name = match &self.owner {
            Some(owner) => format!("{owner}::{ident}"),
            None => ident,
        };
        let text = self.lines.text(signature.span());
        self.functions.push(Function {
            name,
            line: signature.fn_token.span.start().line,
            docs,
            signature: text.split_whitespace().collect::<Vec<_>>().join(" "),
            body: body.map(|span| self.lines.text(span).to_owned()).unwrap_or_default(),
        });
    }

    fn within(&mut self, owner: Option<String>, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.owner, owner);
        visit(self);
        self.owner = outer;
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            self.within(None, |finder| visit::visit_item_mod(finder, module));
        }
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        if !is_test(&block.attrs) {
            self.within(type_name(&block.self_ty), |finder| visit::visit_item_impl(finder, block));
        }
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        let owner = Some(item.ident.to_string());
        self.within(owner, |finder| visit::visit_item_trait(finder, item));
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.attrs, &function.sig, Some(function.block.span()));
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.add(&function.attrs, &function.sig, Some(function.block.span()));
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        let body = function.default.as_ref().map(Spanned::span);
        self.add(&function.attrs, &function.sig, body);
    }
}

/// Joins the lines of a doc comment, without the one blank that follows `///`.
fn doc_comment(attributes: &[Attribute]) -> String {
    let mut docs = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value else { continue };
        for line in text.value().lines() {
            docs.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
            docs.push('\n');
        }
        if text.value().is_empty() {
            docs.push('\n');
        }
    }
    docs
}

fn prose(docs: &str) -> String {
    let is_prose = |line: &&str| !line.starts_with('#') && !line.starts_with("```");
    let words = docs.lines().map(str::trim_start).take_while(is_prose);
    words.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// Whether an item is `#[test]` or behind a `cfg` that asks for tests.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.tokens.clone().into_iter().next().is_some_and(|first| first.to_string() == "test")
        }
        Meta::List(_) | Meta::NameValue(_) => false,
    })
}

fn type_name(ty: &Type) -> Option<String> {
    if let Type::Reference(reference) = ty {
        return type_name(&reference.elem);
    }
    let Type::Path(path) = ty else { return None };
    path.path.segments.last().map(|segment| segment.ident.to_string())
}

/// Source text by line, so that a span (line and column in characters) finds its bytes.
struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(source: &'a str) -> Self {
        // A span counts columns from after a byte order mark.
        let first = source.len() - source.trim_start_matches('\u{feff}').len();
        let ends = source.match_indices('\n').map(|(index, _)| index + 1);
        Self { source, starts: std::iter::once(first).chain(ends).collect() }
    }

    fn text(&self, span: Span) -> &'a str {
        let (start, end) = (span.start(), span.end());
        let from = self.offset(start.line, start.column);
        let to = self.offset(end.line, end.column);
        self.source.get(from..to).unwrap_or_default()
    }

    fn offset(&self, line: usize, column: usize) -> usize {
        let start = self.starts.get(line.wrapping_sub(1)).copied().unwrap_or(self.source.len());
        let rest = &self.source[start..];
        rest.char_indices().nth(column).map_or(self.source.len(), |(index, _)| start + index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r##"
//! Crate docs.

/// Waits until the child exits, and returns its status.
///
/// # Errors
///
/// When it was never started.
pub fn wait(child: &mut Child)
    -> io::Result<Status> {
    child.inner.wait()
}

/// Too short.
fn short() {}

impl<T> Pool<T> {
    /** Takes an idle connection from the pool, or opens a new one: häh. */
    #[inline]
    fn take(&self) -> T { self.idle.pop().unwrap_or_else(T::open) }
}

trait Source {
    #[doc = "Returns the number of bytes that can be read without blocking."]
    fn ready(&self) -> usize;
}

#[cfg(test)]
mod tests {
    /// A helper that nobody but the tests of this file should ever call.
    fn helper() {}
}
"##;

    #[test]
    fn functions_methods_and_trait_methods_are_found_with_their_places() {
        let functions = documented_functions(SOURCE).unwrap();
        let names: Vec<_> = functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["wait", "Pool::take", "Source::ready"]);
        let wait = &functions[0];
        assert_eq!(wait.line, 9);
        assert_eq!(wait.signature, "fn wait(child: &mut Child) -> io::Result<Status>");
        assert_eq!(wait.body, "{\n    child.inner.wait()\n}");
        assert_eq!(wait.prose(), "Waits until the child exits, and returns its status.");
        assert_eq!(wait.summary(), wait.prose());
        assert!(wait.docs.contains("\n\n# Errors\n"));
        assert_eq!(functions[1].line, 20);
        assert_eq!(functions[1].body, "{ self.idle.pop().unwrap_or_else(T::open) }");
        assert_eq!(functions[2].body, "");
    }

    #[test]
    fn broken_source_is_an_error() {
        assert!(documented_functions("fn {").is_err());
        assert!(documented_functions("\u{feff}").unwrap().is_empty());
    }
}
