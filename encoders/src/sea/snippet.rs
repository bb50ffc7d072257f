//! The functions, types and other parts of a source file.
//!
//! Every visible byte of a file is in exactly one snippet, but for imports and for rests too small to
//! be looked for. A function's comments and attributes belong to it; functions inside it are part of
//! it. A type with methods is what comes before the first of them: each method is a snippet of its own.

use std::cmp::Reverse;
use std::ops::Range;

use tree_sitter::{Node, QueryCursor, StreamingIterator};

use super::comments::{comment_text, docstring};
use super::source_file::{SourceFile, is_comment};
use super::span::Span;

/// Visible bytes that a rest between functions and types needs to be a snippet.
const MIN_REST_BYTES: usize = 80;

/// Nodes that hold a function or a type and nothing else of the file.
const WRAPPERS: [&str; 8] = [
    "decorated_definition",
    "export_statement",
    "expression_statement",
    "lexical_declaration",
    "variable_declaration",
    "template_declaration",
    "type_definition",
    "ambient_declaration",
];

/// A part of a source file that is looked for by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// What it is.
    pub kind: SnippetKind,
    /// Its name, with those of the types and modules around it: `Pool::take`; empty for a rest.
    pub name: String,
    /// What its comment or docstring says, without markers; empty if there is none.
    pub doc: String,
    /// Where it lies.
    pub span: Span,
    /// Whether its syntax says that it is a test, or belongs to one: in Rust what is marked `#[test]` or
    /// `#[cfg(test)]`, and all that is in it.
    pub is_test: bool,
}

/// What a snippet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SnippetKind {
    /// A function.
    Function,
    /// A function of a type.
    Method,
    /// A type, up to its first method.
    Type,
    /// What is between functions and types, or the whole file if there are none.
    Rest,
}

impl SnippetKind {
    /// Returns its name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Method => "method",
            Self::Type => "type",
            Self::Rest => "rest",
        }
    }
}

/// What a query found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Function,
    Type,
    Container,
    Skip,
}

struct Item {
    role: Role,
    /// Whether functions in it are methods.
    owns_methods: bool,
    is_method: bool,
    name: String,
    doc: String,
    bytes: Range<usize>,
    is_test: bool,
}

/// What stands right before an item and belongs to it.
struct Lead {
    /// Where that begins.
    start: usize,
    /// Comments, last first.
    comments: Vec<Range<usize>>,
    /// Whether an attribute marks a test.
    is_test: bool,
}

impl SourceFile<'_> {
    /// Returns the whole text as one snippet.
    #[must_use]
    pub fn whole(&self) -> Snippet {
        let span = self.span(0..self.text().len());
        let (name, doc) = (String::new(), String::new());
        Snippet { kind: SnippetKind::Rest, name, doc, span, is_test: false }
    }

    /// Returns the snippets, in their order; the whole text, if nothing in it is found.
    #[must_use]
    pub fn snippets(&self) -> Vec<Snippet> {
        let mut items = self.items();
        items.sort_by_key(|item| (item.bytes.start, Reverse(item.bytes.end)));
        let mut found = Vec::new();
        let mut covered: Vec<Range<usize>> = Vec::new();
        // Items that the current one lies in, outermost first.
        let mut around: Vec<usize> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            around.retain(|&outer| items[outer].bytes.end > item.bytes.start);
            if around.iter().any(|&outer| items[outer].role == Role::Function) {
                continue;
            }
            let bytes = match item.role {
                Role::Function | Role::Skip => item.bytes.clone(),
                Role::Type => {
                    let members = items[index + 1..].iter();
                    let mut members = members.take_while(|m| m.bytes.start < item.bytes.end);
                    let member = members.find(|m| m.role == Role::Function);
                    item.bytes.start..member.map_or(item.bytes.end, |m| m.bytes.start)
                }
                Role::Container => item.bytes.start..item.bytes.start,
            };
            // A type inside a type without methods is part of it.
            let is_new = covered.last().is_none_or(|last| last.end <= bytes.start);
            if is_new && !bytes.is_empty() {
                covered.push(bytes.clone());
                if item.role != Role::Skip {
                    let outer: Vec<&Item> = around.iter().map(|&outer| &items[outer]).collect();
                    found.push(self.snippet(item, &outer, bytes));
                }
            }
            around.push(index);
        }
        let mut rests = self.rests(&covered);
        for rest in &mut rests {
            let middle = rest.span.bytes.start.midpoint(rest.span.bytes.end);
            rest.is_test = items.iter().any(|item| item.is_test && item.bytes.contains(&middle));
        }
        if found.is_empty() && rests.is_empty() {
            return if self.text().trim().is_empty() { Vec::new() } else { vec![self.whole()] };
        }
        found.extend(rests);
        found.sort_by_key(|snippet| snippet.span.bytes.start);
        found
    }

    fn snippet(&self, item: &Item, around: &[&Item], bytes: Range<usize>) -> Snippet {
        let separator = self.language().map_or(".", |language| language.separator());
        let mut names: Vec<&str> = around.iter().map(|outer| outer.name.as_str()).collect();
        names.push(&item.name);
        let owned = around.last().is_some_and(|outer| outer.owns_methods);
        let kind = match item.role {
            Role::Function if owned || item.is_method => SnippetKind::Method,
            Role::Function => SnippetKind::Function,
            Role::Type | Role::Container | Role::Skip => SnippetKind::Type,
        };
        Snippet {
            kind,
            name: names.join(separator),
            doc: item.doc.clone(),
            span: self.span(bytes),
            is_test: item.is_test || around.iter().any(|outer| outer.is_test),
        }
    }

    /// Returns what no item covers.
    fn rests(&self, covered: &[Range<usize>]) -> Vec<Snippet> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for item in covered {
            gaps.push(at..item.start.max(at));
            at = item.end.max(at);
        }
        gaps.push(at..self.text().len());
        let visible = |gap: &Range<usize>| {
            let bytes = self.slice(gap.clone()).bytes();
            bytes.filter(|byte| !byte.is_ascii_whitespace()).count()
        };
        gaps.retain(|gap| visible(gap) >= MIN_REST_BYTES);
        gaps.into_iter().map(|gap| Snippet { span: self.span(gap), ..self.whole() }).collect()
    }

    /// Returns what the language's query finds.
    fn items(&self) -> Vec<Item> {
        let Some((root, query)) =
            self.root().zip(self.language().and_then(|l| l.query(self.text())))
        else {
            return Vec::new();
        };
        let names = query.capture_names();
        let mut cursor = QueryCursor::new();
        let mut matches = cursor.matches(query, root, self.text().as_bytes());
        let mut items = Vec::new();
        while let Some(found) = matches.next() {
            let (mut node, mut name) = (None, None);
            for capture in found.captures() {
                match names.get(capture.index as usize).copied() {
                    Some("function") => node = Some((Role::Function, capture.node)),
                    Some("type") => node = Some((Role::Type, capture.node)),
                    Some("container") => node = Some((Role::Container, capture.node)),
                    Some("skip") => node = Some((Role::Skip, capture.node)),
                    Some(_) | None => name = Some(capture.node),
                }
            }
            if let Some((role, node)) = node {
                items.push(self.item(role, node, name));
            }
        }
        items
    }

    fn item(&self, role: Role, node: Node<'_>, name: Option<Node<'_>>) -> Item {
        let receiver = node.child_by_field_name("receiver").and_then(type_name);
        let name = name.map_or("", |name| self.slice(declared_name(name).byte_range()));
        let name = match receiver {
            Some(receiver) => format!("{}.{name}", self.slice(receiver.byte_range())),
            None => name.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        let outer = if role == Role::Skip { node } else { wrapper(node) };
        let Lead { start, comments, is_test } = self.lead(outer, role);
        let doc = match docstring(&node) {
            Some(string) => comment_text(self.slice(string.byte_range())),
            None => comments
                .iter()
                .rev()
                .map(|c| comment_text(self.slice(c.clone())))
                .collect::<Vec<_>>()
                .join("\n"),
        };
        Item {
            role,
            owns_methods: role == Role::Type || node.kind() == "impl_item",
            is_method: receiver.is_some(),
            name,
            doc,
            bytes: start..outer.end_byte(),
            is_test,
        }
    }

    /// Returns the comments and attributes right before an item.
    fn lead(&self, node: Node<'_>, role: Role) -> Lead {
        let start = self.line_start(node.start_byte());
        let mut lead = Lead { start, comments: Vec::new(), is_test: false };
        if role == Role::Skip {
            return lead;
        }
        let mut before = node.prev_sibling();
        while let Some(sibling) = before {
            let is_lead = is_comment(&sibling) || sibling.kind() == "attribute_item";
            let between = self.slice(sibling.end_byte().min(lead.start)..lead.start);
            let at = self.line_start(sibling.start_byte());
            let own_line = self.slice(at..sibling.start_byte()).trim().is_empty();
            if !is_lead
                || !own_line
                || between.matches('\n').count() > 1
                || !between.trim().is_empty()
            {
                break;
            }
            if is_comment(&sibling) {
                lead.comments.push(sibling.byte_range());
            } else {
                lead.is_test |= marks_test(self.slice(sibling.byte_range()));
            }
            lead.start = at;
            before = sibling.prev_sibling();
        }
        lead
    }

    /// Moves a byte to the start of its line if only blanks are between.
    pub(super) fn line_start(&self, byte: usize) -> usize {
        let start = self.lines().start(self.lines().row(byte));
        let blank = self.slice(start..byte).bytes().all(|byte| byte == b' ' || byte == b'\t');
        if blank { start } else { byte }
    }
}

/// Whether a Rust attribute marks a test: `#[test]`, one of the same name elsewhere (`#[tokio::test]`), or a
/// condition that asks for tests.
fn marks_test(attribute: &str) -> bool {
    let inner = attribute.trim_start_matches("#[").trim_end_matches(']');
    let (path, arguments) = inner.split_once('(').unwrap_or((inner, ""));
    match path.trim().rsplit("::").next() {
        Some("test") => true,
        Some("cfg") => {
            let mut words = arguments.split(|c: char| !c.is_alphanumeric() && c != '_');
            !arguments.contains("not(") && words.any(|word| word == "test")
        }
        Some(_) | None => false,
    }
}

/// Returns the outermost node that holds `node` and nothing else of the file.
fn wrapper(mut node: Node<'_>) -> Node<'_> {
    while let Some(parent) = node.parent() {
        let shared = parent.kind().ends_with("_declaration") && parent.named_child_count() > 1;
        if !WRAPPERS.contains(&parent.kind()) || (shared && node.kind() == "variable_declarator") {
            break;
        }
        node = parent;
    }
    node
}

/// Returns the name inside a C declarator, and any other name itself.
fn declared_name(mut node: Node<'_>) -> Node<'_> {
    while node.kind().ends_with("declarator") {
        let inner = node.child_by_field_name("declarator").or_else(|| node.named_child(0));
        let Some(inner) = inner else { break };
        node = inner;
    }
    node
}

/// Returns the type of a Go receiver.
fn type_name(receiver: Node<'_>) -> Option<Node<'_>> {
    let mut found = None;
    super::source_file::walk(receiver, |node| {
        if found.is_none() && node.kind() == "type_identifier" {
            found = Some(*node);
        }
        found.is_none()
    });
    found
}

#[cfg(all(test, feature = "grammars"))]
mod tests {
    use super::super::language::Language;
    use super::*;

    /// Kind, name, first and last line of each snippet, and its documentation.
    fn shown(language: Language, code: &str) -> Vec<String> {
        let show = |s: Snippet| {
            let (kind, span) = (s.kind.name(), s.span);
            let doc = if s.doc.is_empty() { String::new() } else { format!(" {:?}", s.doc) };
            format!("{kind} {} {}-{}{doc}", s.name, span.first_line, span.last_line)
        };
        SourceFile::new(code, Some(language)).snippets().into_iter().map(show).collect()
    }

    #[test]
    fn python_functions_have_their_decorators_and_docstrings() {
        let code = "import os\n\n@cached\ndef f(x):\n    \"\"\"Does f.\"\"\"\n    def g(): pass\n    return x\n\n\
                    class A(B):\n    '''An A.'''\n    x = 1\n\n    # Takes one.\n    async def take(self):\n        pass\n";
        let expected = [
            "function f 3-7 \"Does f.\"",
            "type A 9-11 \"An A.\"",
            "method A.take 13-15 \"Takes one.\"",
        ];
        assert_eq!(shown(Language::Python, code), expected);
    }

    #[test]
    fn rust_functions_have_their_attributes_and_the_names_around_them() {
        let code = "use a::b;\n\n/// Waits.\n///\n/// Long.\n#[inline]\npub fn wait() {}\n\nimpl<T> Pool<T> {\n    // Takes.\n    \
                    fn take(&self) {}\n}\nmod m {\n    struct S { x: u8 }\n    fn h() {}\n}\ntrait T { fn a(); fn b() {} }\n";
        let expected = [
            "function wait 3-7 \"Waits.\n\nLong.\"".replace('\n', "\\n"),
            "method Pool<T>::take 10-11 \"Takes.\"".to_owned(),
            "type m::S 14-14".to_owned(),
            "function m::h 15-15".to_owned(),
            "type T 17-17".to_owned(),
            "method T::b 17-17".to_owned(),
        ];
        assert_eq!(shown(Language::Rust, code), expected);
    }

    #[test]
    fn what_rust_marks_as_a_test_is_one_with_all_that_is_in_it() {
        let table = format!("const TABLE: [u8; 99] = [{}];\n", "1, ".repeat(99));
        let code = format!(
            "fn a() {{}}\n#[cfg(not(test))]\nfn b() {{}}\n#[tokio::test(flavor = \"x\")]\nasync fn c() {{}}\n\
             {table}#[cfg(all(test, unix))]\nmod tests {{\n    use super::*;\n    {table}    struct S {{ x: u8 }}\n    \
             impl S {{ fn m() {{}} }}\n    /// Says d.\n    #[test]\n    fn d() {{}}\n}}\n#[cfg(feature = \"latest\")]\nfn e() {{}}\n"
        );
        let found = SourceFile::new(&code, Some(Language::Rust)).snippets();
        let found: Vec<(&str, bool)> =
            found.iter().map(|snippet| (snippet.name.as_str(), snippet.is_test)).collect();
        let expected = [
            ("a", false),
            ("b", false),
            ("c", true),
            ("", false),
            ("", true),
            ("tests::S", true),
            ("tests::S::m", true),
            ("tests::d", true),
            ("e", false),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_language_names_its_functions_and_types() {
        for (language, code, expected) in [
            (
                Language::C,
                "/* Adds. */\nstatic int *add(int a) { return a; }\ntypedef struct { int y; } T;\nenum E { A };",
                &["function add", "type T", "type E"][..],
            ),
            (
                Language::Cpp,
                "namespace n {\ntemplate <class T>\nclass A {\n int f(int x) const { return 1; }\n};\n}\nint n::A::g() {}",
                &["type n::A", "method n::A::f", "function n::A::g"],
            ),
            (
                Language::Go,
                "package a\n\n// F is.\nfunc (r *R[T]) F() int { return 1 }\ntype R struct { x int }\nfunc G() {}",
                &["method R.F", "type R", "function G"],
            ),
            (
                Language::Java,
                "import a.b;\nclass A {\n  int y;\n  /** Gets. */\n  @Override int f() { return y; }\n  A() {}\n}",
                &["type A", "method A.f", "method A.A"],
            ),
            (
                Language::JavaScript,
                "export const f = (x) => { return x };\nexport default class A { m() {} }\nexports.z = function () {};",
                &["function f", "type A", "method A.m", "function exports.z"],
            ),
            (
                Language::Php,
                "<?php\nnamespace N;\nuse B;\n/** Doc */\nclass C { public function f() {} }\nfunction g() {}",
                &["type C", "method C::f", "function g"],
            ),
            (Language::Php, "function g() { return 1; }", &["function g"]),
            (
                Language::Ruby,
                "module M\n  class A < B\n    def f(x)\n      1\n    end\n    def self.g; end\n  end\nend",
                &["type M::A", "method M::A::f", "method M::A::g"],
            ),
            (
                Language::TypeScript,
                "export interface I { x: number }\nexport abstract class A { m(): number { return 1 } }\nfunction f(): void {}",
                &["type I", "type A", "method A.m", "function f"],
            ),
            (Language::Tsx, "const V = () => <div>a</div>;", &["function V"]),
        ] {
            let found = SourceFile::new(code, Some(language)).snippets();
            let found: Vec<String> = found
                .iter()
                .filter(|s| s.kind != SnippetKind::Rest)
                .map(|s| format!("{} {}", s.kind.name(), s.name))
                .collect();
            assert_eq!(found, expected, "{language:?}");
        }
    }

    #[test]
    fn the_rest_is_a_snippet_when_there_is_much_of_it() {
        let table = "TABLE = {\n".to_owned() + &"    'name': 'value',\n".repeat(9) + "}\n";
        let code = format!("import a\n\n{table}\ndef f():\n    pass\n\nprint(1)\n");
        assert_eq!(shown(Language::Python, &code), ["rest  3-13", "function f 15-16"]);
        assert_eq!(shown(Language::Python, "x = 1\n"), ["rest  1-1"]);
        assert_eq!(shown(Language::Python, " \n"), [""; 0]);
        let unknown = SourceFile::new("a b c", None).snippets();
        assert_eq!((unknown.len(), unknown[0].span.bytes.clone()), (1, 0..5));
    }
}
