"""The section of the page that compares engines on one set."""

from __future__ import annotations

from .contestant import Entry, Point
from .curve import TARGETS, medians, qps, ratio
from .results import Results
from .sweep import least_refined
from .table import number, settings, table

SAME_BYTES = [
    ("bigrain-1-f32", ["faiss-ivf-pq-1"]),
    ("bigrain-1-f32", ["faiss-ivf-rabitq-1"]),
    ("bigrain-2-f32", ["faiss-ivf-pq-2", "faiss-ivf-pq-1"]),
    ("bigrain-2-f32", ["faiss-ivf-rabitq-2"]),
]
"""Ours, and theirs with lists and (nearly) equal code bytes: the first of them that took part.

With few dimensions one product code stands for both numbers of levels."""


def section(results: Results) -> str:
    """Returns the section."""
    name = results.set["name"]
    parts = [
        f"## {results.set['title']}",
        facts(results),
        f"![Queries a second against recall]({'peers/' + name + '.svg'})",
        _speed(results),
        "### What it takes",
        _cost(results),
    ]
    if pairs := _pairs(results):
        parts += ["### Lists against lists", _SAME_BYTES_TEXT, *pairs]
    if results.skipped:
        lines = [f"- {who}: {why}" for who, why in sorted(results.skipped.items())]
        parts += ["Not compared:", "\n".join(lines)]
    return "\n\n".join(parts)


_SAME_BYTES_TEXT = """\
Same number of lists, as many code bytes. In the second table both search the same number of lists, and
the peer refines the fewest candidates that are enough for them (within half a point of what more would
give)."""


def facts(results: Results) -> str:
    """Returns what was compared, where, when, under which load, and the command."""
    told, machine = results.set, results.machine
    isa = f" ({', '.join(machine['isa'])})" if machine["isa"] else ""
    low, high = min(results.loads), max(results.loads)
    sources = ", ".join(told["sources"][:1]) + (", ..." if len(told["sources"]) > 1 else "")
    return (
        f"{told['base_rows']:,} vectors of {told['dims']} dimensions, {told['metric']}, "
        f"{told['query_rows']:,} queries, {results.limit} results; from {sources}. "
        f"{results.date}, {machine['cpu']}{isa}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}; load average at the start of the "
        f"rounds {low:g} to {high:g}. {results.rounds} rounds.\n\n```bash\n{results.command}\n```"
    )


def _speed(results: Results) -> str:
    ours = {target: _fastest_of_ours(results, target) for target in TARGETS}
    rows = []
    for entry in _ordered(results):
        cells = [_cell(entry, ours[target], target) for target in TARGETS]
        at = qps(entry, 0.95)
        rows.append([entry.facts.title, *cells, settings(at[1].knob) if at else ""])
    head = ["engine", *(f"QPS at recall {target:.2f}" for target in TARGETS), "setting at 0.95"]
    named = "; ".join(
        f"{target:.2f}: {entry.facts.title}" for target, entry in ours.items() if entry is not None
    )
    note = (
        "Median of the rounds, lowest to highest in brackets, then ours / theirs within a round, where "
        f"ours is our fastest at that recall ({named}). "
        if named
        else ""
    ) + "`≥`: the engine's fastest setting has more recall than that. `–`: no setting reached it."
    return f"{table(head, rows)}\n\n{note}"


def _cell(entry: Entry, ours: Entry | None, target: float) -> str:
    found = qps(entry, target)
    if found is None:
        return "–"
    spread, reading = found
    text = f"{number(spread.median)} ({number(spread.low)} to {number(spread.high)})"
    if ours is not None and ours is not entry and (times := ratio(ours, entry, target)):
        text += f", **{times.median:.2f}x**"
    return f"≥ {text}" if reading.above else text


def _cost(results: Results) -> str:
    ours = results.entry("bigrain-1-f32")
    rows = []
    for entry in _ordered(results):
        facts = entry.facts
        cpu = facts.build_cpu_seconds
        our_cpu = ours.facts.build_cpu_seconds if ours else None
        times = f"{cpu / our_cpu:.1f}x" if cpu and our_cpu else "–"
        rows.append([
            facts.title,
            number(facts.memory_bytes_per_vector),
            number(facts.memory_bytes_per_vector - facts.row_bytes_per_vector),
            "–" if facts.rss_bytes_per_vector is None else number(facts.rss_bytes_per_vector),
            number(facts.build_seconds),
            "–" if cpu is None else number(cpu),
            times,
            facts.version,
        ])  # fmt: skip
    head = ["engine", "B/vector in memory", "of it not f32 rows", "resident (RSS) B/vector"]
    head += ["build, s", "CPU s", "CPU s / ours at 1 level", "version"]
    note = (
        "In memory: by the engine's own account; of ours, vectors lie on disk. Resident: what the "
        "process grew by, mapped files that were touched included; for ours the whole process, queries "
        "and truth included. Every build ran on one thread, one after the other; processor seconds are compared, "
        "since other work on the machine lengthens the rest."
    )
    return f"{table(head, rows)}\n\n{note}"


def _pairs(results: Results) -> list[str]:
    found = [
        (ours, theirs)
        for mine, others in SAME_BYTES
        if (ours := results.entry(mine))
        and (theirs := next((e for name in others if (e := results.entry(name))), None))
    ]
    if not found:
        return []
    speeds = []
    for ours, theirs in found:
        times = [ratio(ours, theirs, target) for target in TARGETS]
        cells = [f"{t.median:.2f}x ({t.low:.2f} to {t.high:.2f})" if t else "–" for t in times]
        speeds.append([f"{ours.facts.title} / {theirs.facts.title}", *cells])
    head = ["ours / theirs", *(f"QPS at recall {target:.2f}" for target in TARGETS)]
    same = [row for pair in found for row in _list_for_list(*pair)]
    columns = [
        "ours / theirs",
        "lists",
        "our recall",
        "their recall",
        "our QPS",
        "their QPS",
        "ratio",
    ]
    return [table(head, speeds), table(columns, same)]


def _list_for_list(ours: Entry, theirs: Entry) -> list[list[str]]:
    mine, other = least_refined(medians(ours)), least_refined(medians(theirs))
    title = f"{ours.facts.title} / {theirs.facts.title}"
    return [
        [title, str(lists), *_versus(mine[lists], other[lists])]
        for lists in sorted(mine.keys() & other.keys())
    ]


def _versus(mine: Point, other: Point) -> list[str]:
    return [
        f"{mine.recall:.3f}",
        f"{other.recall:.3f}",
        number(mine.qps),
        number(other.qps),
        f"{mine.qps / other.qps:.2f}x",
    ]


def _ordered(results: Results) -> list[Entry]:
    """Returns ours first, then the others by speed at recall 0.95."""

    def key(entry: Entry) -> tuple[bool, float]:
        found = qps(entry, 0.95)
        return (not _is_ours(entry), -found[0].median if found else 0.0)

    return sorted(results.entries, key=key)


def _fastest_of_ours(results: Results, target: float) -> Entry | None:
    reached = [
        (found[0].median, entry.facts.name, entry)
        for entry in results.entries
        if _is_ours(entry) and (found := qps(entry, target))
    ]
    return max(reached)[2] if reached else None


def _is_ours(entry: Entry) -> bool:
    return entry.facts.name.startswith("bigrain")
