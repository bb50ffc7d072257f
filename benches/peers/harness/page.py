"""Puts the page together from the figures that lie in `peers/` beside it."""

from __future__ import annotations

from pathlib import Path

from sets.catalog import NAMES

from . import page_codes, page_cold, page_set
from .picture import draw
from .results import Results

_TOP = """\
# Beside other engines

Question: on the same vectors, with one thread, how many queries a second does each engine answer at equal
recall, and what does it need for that?

This page is written by `benches/peers/`; the figures lie beside it in `peers/`, and
`make bench-peers RENDER=1` draws it again from them.

- `make bench-data` makes the sets: real vectors, exact neighbours, pinned by hash.
- Every engine builds its index with one thread, in a process of its own, and is then opened by another one
  that stays until the end, so what it searches is in memory. Ours keeps codes in memory and maps its rows.
- A round visits every engine once and sweeps its settings; the engine that goes first changes with the
  round. Ratios are taken within rounds. Settings that are slower than others at equal recall are dropped
  after the first round.
- Peers get their queries as one batch, which spares them the price of a call for each; ours answers query
  by query. For cosine the vectors they get have length 1 already.
- Graphs have 16 links a node (32 on the lowest layer) and 200 candidates during construction; inverted
  files 4·√n lists. Product codes have as many bytes as our planes; refined with the f32 rows.
- Between two measured settings, log(QPS) is interpolated over recall. A result is right if it is as near
  as the last true neighbour."""


def write(folder: Path) -> None:
    """Writes `peers.md` and a picture for each set that was compared."""
    figures = folder / "peers"
    parts = [_TOP]
    for name in NAMES:
        if (figures / f"{name}.json").is_file():
            results = Results.load(figures / f"{name}.json")
            if results.entries:
                draw(results, figures / f"{name}.svg")
                parts.append(page_set.section(results))
    parts += page_codes.sections(figures)
    parts += page_cold.sections(figures)
    if len(parts) == 1:
        parts.append("Nothing has been measured yet.")
    (folder / "peers.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
