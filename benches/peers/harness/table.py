"""Tables and numbers in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table; the first column is text, the others are numbers."""
    lines = [_row(head), _row(["---"] + ["---:"] * (len(head) - 1))]
    return "\n".join(lines + [_row(row) for row in rows])


def number(value: float) -> str:
    """Returns three digits that count, or every digit of a large number."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-9 else "0"


def settings(knob: dict[str, float]) -> str:
    """Returns a search setting as `name=value, name=value`."""
    return ", ".join(f"{name}={value:g}" for name, value in knob.items())


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
