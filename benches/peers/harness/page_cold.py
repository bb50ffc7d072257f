"""The section on data larger than the memory allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .contestant import Point
from .curve import read
from .table import number, table

MAPPED = "usearch, index mapped"
"""The engine the others are compared with."""
_TARGET = 0.95

_TEXT = """\
## More data than memory

{rows:,} vectors of {dims} dimensions ({set}, {metric}), {data_mib:,.0f} MiB of f32 rows. {limit_text}
Every file is dropped from the page cache before each round. Single queries, one thread, at most {queries}
a round (of usearch as many as fit in 20 s for a setting), {rounds} rounds in turns; medians. {date}, {cpu}; disk: {disk}.

```bash
{command}
```"""


def sections(figures: Path) -> list[str]:
    """Returns a section for each set it was measured on."""
    made = []
    for path in sorted(figures.glob("cold-*.json")):
        told = json.loads(path.read_text())
        head = [
            "engine",
            "setting",
            "recall@10",
            "QPS",
            "p50, ms",
            "p99, ms",
            "rows read",
            "queries",
            "outcome",
        ]
        rows = [
            [
                run["title"],
                run["setting"],
                *(_three(run, "recall"), _figure(run, "qps"), _figure(run, "p50_ms")),
                *(_figure(run, "p99_ms"), _figure(run, "rows_read"), _asked(run, told)),
                run["outcome"],
            ]
            for run in told["runs"]
        ]
        made += [_TEXT.format(**told), table(head, rows)]
        if verdict := _verdict(told["runs"]):
            made.append(verdict)
    return made


def _verdict(runs: list[dict[str, Any]]) -> str:
    """Returns how the engines compare at one recall, read from between their settings."""
    points: dict[str, list[Point]] = {}
    for run in runs:
        if run["qps"]:
            points.setdefault(run["title"], []).append(Point({}, run["recall"], run["qps"]))
    reached = {title: found.qps for title, each in points.items() if (found := read(each, _TARGET))}
    mapped = reached.get(MAPPED)
    lines = [f"At recall {_TARGET}:"]
    for title, speed in reached.items():
        times = f", {speed / mapped:.1f}x the mapped graph" if mapped and title != MAPPED else ""
        lines.append(f"- {title}: {number(speed)} QPS{times}")
    return "\n".join(lines) if len(lines) > 1 else ""


def _three(run: dict[str, float | None], key: str) -> str:
    value = run[key]
    return "–" if value is None else f"{value:.3f}"


def _asked(run: dict[str, float | None], told: dict[str, int]) -> str:
    """Returns how many queries were timed: all of them, unless time ran out."""
    return f"{run['queries'] or told['queries']:,.0f}" if run["qps"] else "–"


def _figure(run: dict[str, float | None], key: str) -> str:
    value = run[key]
    return "–" if value is None else number(value)
