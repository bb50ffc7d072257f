#!/usr/bin/env python3
"""Makes a test collection of long documents from what lies on any Debian machine.

    benches/long_text/prepare.py --out long && bigrain eval --corpus long --long

Documents: manual pages, info files, licences and package documentation of at least --words words. Queries:
sentences of the last --late of a document, each cut out of it (the inverse cloze task): the query is about
what stands around the gap, far behind what a short model reads. Nobody judged these queries; a document that
is not the query's own counts as wrong even where it would do. The folder is in BEIR layout. The same machine and
the same --seed give the same folder.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import random
import re
import sys
from pathlib import Path

SOURCES = [
    ("/usr/share/common-licenses", "*"),
    ("/usr/share/man", "man[1-8]/*.gz"),
    ("/usr/share/info", "*.info*.gz"),
    ("/usr/share/doc", "**/*"),
]
DOCUMENTATION = re.compile(r"(\.(txt|html?|md|rst|pod)|README[^/]*|NEWS[^/]*|FAQ[^/]*|manual[^/]*)(\.gz)?$", re.I)
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
WORD = re.compile(r"[A-Za-z]{2,}")


def read(path: Path) -> str:
    """Returns a file's text, unpacked."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data.decode("utf-8", "replace")


def plain(path: Path, text: str) -> str:
    """Takes markup away: of manual pages, info files and HTML."""
    name = path.name.removesuffix(".gz")
    if "/man/" in str(path):
        lines = []
        for line in text.splitlines():
            if line.startswith((".\\\"", "'\\\"", ".TH", ".so", ".ig")):
                continue
            if line.startswith((".", "'")):
                macro, _, rest = line.partition(" ")
                line = "\n" if macro in (".PP", ".P", ".LP", ".TP", ".IP", ".SH", ".SS", ".Pp") and not rest else rest
                if macro in (".SH", ".SS", ".Sh", ".Ss"):
                    line = f"\n{rest.strip(chr(34))}.\n"
            lines.append(line)
        text = re.sub(r"\\f(\[[A-Z]*\]|\(..|.)|\\[&|/,%:]|\\s[+-]?\d", "", "\n".join(lines))
        text = re.sub(r"\\\((.{2})|\\\[[^\]]*\]|\\\*\[?..\]?", " ", text.replace("\\-", "-").replace("\\e", "\\"))
    elif re.search(r"\.html?$", name):
        text = html.unescape(re.sub(r"(?s)<(script|style).*?</\1>|<[^>]*>", " ", text))
    elif ".info" in name:
        text = re.sub(r"(?m)^\x1f.*$|^File: .*$|^\* .*::.*$", "", text)
    return re.sub(r"[^\S\n]+", " ", text).replace("\x1f", " ")


def documents(least: int, most: int) -> dict[str, str]:
    """Returns the texts of enough words by name, cut at the most words; near copies once."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for folder, pattern in SOURCES:
        for path in sorted(Path(folder).glob(pattern)):
            if path.is_symlink() or not path.is_file() or path.stat().st_size < 5_000:
                continue
            if folder.endswith("/doc") and not DOCUMENTATION.search(path.name):
                continue
            text = plain(path, read(path))
            words = text.split(" ")
            prose = WORD.findall(text)
            start = " ".join(prose[50:150]).lower()
            if len(prose) < least or start in seen or sum(map(len, prose)) < len(text) / 2:
                continue
            seen.add(start)
            found[str(path)] = " ".join(words[: most * len(words) // max(len(prose), most)])
    return found


def sentences(text: str, late: float) -> list[str]:
    """Returns the sentences of the last part that could stand as a query."""
    begin = int(len(text) * (1 - late))
    part = text[text.find("\n", begin) + 1 :]
    good = []
    for block in re.split(r"\n\s*\n", part):
        for sentence in SENTENCE.split(block):
            words = WORD.findall(sentence)
            letters = sum(map(len, words))
            if 10 <= len(words) <= 35 and sentence.rstrip().endswith(".") and letters > 0.7 * len(sentence):
                good.append(sentence)
    return good


def main() -> int:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--words", type=int, default=2_000, help="fewest words of a document (2000)")
    parser.add_argument("--most-words", type=int, default=8_000, help="words after which it is cut (8000)")
    parser.add_argument("--documents", type=int, default=150, help="most documents (150)")
    parser.add_argument("--queries", type=int, default=2, help="queries of a document (2)")
    parser.add_argument("--late", type=float, default=0.4, help="the last part of a document that is asked for (0.4)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    rng = random.Random(options.seed)
    texts = documents(options.words, options.most_words)
    names = sorted(texts)
    rng.shuffle(names)
    names = names[: options.documents]
    whole = "\n".join(texts[name] for name in names)
    corpus, queries, judgements = [], [], ["query-id\tcorpus-id\tscore"]
    for name in names:
        text = texts[name]
        asked = [s for s in sentences(text, options.late) if whole.count(s) == 1]
        for sentence in rng.sample(asked, min(options.queries, len(asked))):
            text = text.replace(sentence, "", 1)
            query = f"q{len(queries)}"
            queries.append({"_id": query, "text": " ".join(sentence.split())})
            judgements.append(f"{query}\t{name}\t1")
        corpus.append({"_id": name, "title": "", "text": text})
    if not queries:
        print("no document is long enough", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    for file, rows in (("corpus.jsonl", corpus), ("queries.jsonl", queries)):
        (options.out / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (options.out / "qrels.tsv").write_text("\n".join(judgements) + "\n")
    lengths = sorted(len(row["text"].split()) for row in corpus)
    print(
        f"{len(corpus)} documents of {lengths[0]} to {lengths[-1]} words (median {lengths[len(lengths) // 2]}), "
        f"{len(queries)} queries from the last {options.late:.0%}: {options.out}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
