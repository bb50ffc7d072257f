"""Puts the page on filtered searches together from the figures that lie in `filters/` beside it."""

from __future__ import annotations

from pathlib import Path

from sets.filter_cases import KINDS

from . import page_set
from .by_case import GOAL, Outcome, cases_of, middle, our_entry, outcome, ratios
from .picture_filters import draw
from .results import Results
from .table import number, table

_TOP = f"""\
# Filtered search beside other engines

Question: where only a part of the rows may be found, how much of the truth does each engine find, and how
many queries a second does it answer, with one thread?

This page is written by `benches/peers/filtered.py`; the figures lie beside it in `filters/`, and
`make bench-filters RENDER=1` draws it again from them.

- Every row carries two numbers, its place in a random order and its place along the direction in which the
  vectors vary most. A filter is a range of one of them and keeps exactly the share that is named.
- *random*: the range has nothing to do with the vectors; every query asks. *near*: a range of the direction,
  asked by the tenth of the queries that lie lowest in it, so what matches lies around them (correlated).
  *far*: the same range, asked by the tenth that lie highest, so what matches is far away (anti-correlated).
- Everyone is judged by the same exact neighbours among the rows that match, at 10 results. A query that gets
  fewer results has missed the rest.
- Engines are built, opened and take turns as in [peers.md](peers.md). In each case the settings of an engine
  are swept, and the table shows the fastest that reaches a recall of {GOAL}; where none does, the one that
  came nearest, in brackets.
- hnswlib can be filtered in two ways. Rows that do not match can be marked as deleted beforehand (which is not
  timed), and a function can be called for each row that could be a result, which in Python is slow. Where it
  reaches fewer rows than asked for it refuses the query, which then counts as having found nothing.
- Qdrant Edge has an integer index on both numbers from the start, and decides by itself when to score all rows
  that match instead of walking its graph.
- Ours keeps the rows of a filter it has seen; the first search with a filter has to find them. Peers answer
  batches, ours query by query."""

_KINDS = {
    "random": "Matching rows at random",
    "near": "Matching rows around the query",
    "far": "Matching rows far from the query",
}


def write(folder: Path) -> None:
    """Writes `filters.md` and a picture for each set that was compared."""
    figures = folder / "filters"
    parts = [_TOP]
    for path in sorted(figures.glob("*.json")):
        results = Results.load(path)
        if results.entries:
            draw(results, path.with_suffix(".svg"))
            parts.append(section(results))
    if len(parts) == 1:
        parts.append("Nothing has been measured yet.")
    (folder / "filters.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def section(results: Results) -> str:
    """Returns the section of one set."""
    picture = f"filters/{results.set['name']}.svg"
    parts = [
        f"## {results.set['title']}",
        page_set.facts(results),
        f"![Queries a second against the share of rows that match]({picture})",
    ]
    for kind in KINDS:
        parts += [f"### {_KINDS[kind]}", _table(results, kind)]
    parts.append(_summary(results))
    if results.skipped:
        lines = [f"- {who}: {why}" for who, why in sorted(results.skipped.items())]
        parts += ["Not compared:", "\n".join(lines)]
    return "\n\n".join(parts)


def _table(results: Results, kind: str) -> str:
    ours = our_entry(results)
    head = ["match", "rows"] + [entry.facts.title for entry in results.entries]
    rows = []
    for case, told in cases_of(results, kind):
        cells = [_cell(outcome(entry, ours, case)) for entry in results.entries]
        rows.append([f"{100 * told['share']:g} %", f"{told['matching']:,}", *cells])
    return table(head, rows)


def _cell(done: Outcome) -> str:
    text = f"{number(done.point.qps)} at {done.point.recall:.3f}"
    if not done.reached:
        return f"({text})"
    return text if done.ratio is None else f"{text}, **{done.ratio:.2f}x**"


def _summary(results: Results) -> str:
    lines = [
        "Queries a second, median of the rounds, at the recall that was reached; then ours / theirs, both "
        f"at a recall of {GOAL}, within a round."
    ]
    for entry in results.entries:
        cases = range(len(results.set["cases"]))
        reached = sum(outcome(entry, None, case).reached for case in cases)
        line = f"- {entry.facts.title} ({entry.facts.version}): reached {GOAL} in {reached} of {len(cases)} cases"
        if values := ratios(results, entry.facts.name):
            line += (
                f"; ours / theirs {values[0]:.2f}x to {values[-1]:.2f}x in the {len(values)} that both "
                f"reached, {middle(values):.2f}x in the middle"
            )
        lines.append(line)
    return lines[0] + "\n\n" + "\n".join(lines[1:])
