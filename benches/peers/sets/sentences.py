"""300,000 sentence embeddings, 384 dimensions, cosine: all-MiniLM-L6-v2 run by `bigrain encode`.

Short English texts of four kinds: definitions and usage examples (WordNet), verses (two Bibles),
dictionary entries (GCIDE). Texts of fewer than 3 words are left out, longer ones are cut after
48 words to keep the encoding short, and doubles are dropped. What is left is shuffled; the first
5,000 are the queries, the next 300,000 the base.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from . import bible, gcide, wordnet
from .encoder import Encoder
from .vector_set import VectorSet, write_set

QUERIES, BASE = 5_000, 300_000
MIN_WORDS, MAX_WORDS = 3, 48
SEED = 20_260_003
_TEXTS = (wordnet, bible, gcide)


def build(sources: Path, folder: Path, encoder: Encoder) -> VectorSet:
    """Fetches the texts, encodes them, and writes the set into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen, counts = choose(sources)
    listing = "\n".join(chosen) + "\n"
    (folder / "texts.txt").write_text(listing, encoding="utf-8")
    vectors = encoder.encode(chosen, folder / "chunks")
    return write_set(
        folder,
        name="sentences",
        title="sentence embeddings (all-MiniLM-L6-v2 by bigrain encode)",
        metric="cosine",
        base=vectors[QUERIES:],
        queries=vectors[:QUERIES],
        sources=[title for m in _TEXTS for package in m.PACKAGES for title in package.titles],
        notes={
            "texts": counts,
            "words at most": MAX_WORDS,
            "seed": SEED,
            "texts.txt sha256": hashlib.sha256(listing.encode()).hexdigest(),
        },
    )


def choose(sources: Path) -> tuple[list[str], dict[str, int]]:
    """Returns queries and base texts in that order, and how many come from each source."""
    origin: dict[str, str] = {}
    for module in _TEXTS:
        files = [file for package in module.PACKAGES for file in package.fetch(sources)]
        for text in module.texts(files):
            words = text.split()
            if len(words) >= MIN_WORDS:
                origin.setdefault(" ".join(words[:MAX_WORDS]), module.__name__.rpartition(".")[2])
    texts = list(origin)
    order = np.random.default_rng(SEED).permutation(len(texts))[: QUERIES + BASE]
    chosen = [texts[i] for i in order]
    counts: dict[str, int] = {}
    for text in chosen:
        counts[origin[text]] = counts.get(origin[text], 0) + 1
    return chosen, counts
