"""Filtered searches of one set as a picture: queries a second against the share of rows that match."""

from __future__ import annotations

from pathlib import Path

from matplotlib import pyplot as plt

from sets.filter_cases import KINDS

from .by_case import GOAL, cases_of, our_entry, outcome
from .contestant import Entry
from .picture import MARKS, prepare
from .results import Results


def draw(results: Results, path: Path) -> None:
    """Writes the picture as SVG; the same figures give the same bytes."""
    prepare()
    figure, panels = plt.subplots(1, len(KINDS), figsize=(11, 5), sharey=True, layout="constrained")
    for axes, kind in zip(panels, KINDS, strict=True):
        for position, entry in enumerate(results.entries):
            _line(axes, results, entry, kind, position)
        axes.set(xscale="log", yscale="log", xlabel="% of rows that match", title=kind)
        axes.grid(True, which="both", linewidth=0.3)
    panels[0].set_ylabel(f"queries a second, one thread, recall@{results.limit} ≥ {GOAL} (hollow: less)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _line(axes: plt.Axes, results: Results, entry: Entry, kind: str, position: int) -> None:
    ours = our_entry(results)
    done = [(100 * told["share"], outcome(entry, ours, case)) for case, told in cases_of(results, kind)]
    mine, color = entry is ours, f"C{position % 10}"
    axes.plot(
        [share for share, _ in done],
        [outcome.point.qps for _, outcome in done],
        label=entry.facts.title,
        color=color,
        linestyle="-" if mine else "--",
        linewidth=2.2 if mine else 1,
        zorder=3 if mine else 2,
        marker=MARKS[position % len(MARKS)],
        markersize=4,
    )
    missed = [(share, outcome.point.qps) for share, outcome in done if not outcome.reached]
    axes.plot(
        [share for share, _ in missed],
        [qps for _, qps in missed],
        color=color,
        linestyle="",
        marker=MARKS[position % len(MARKS)],
        markersize=4,
        markerfacecolor="white",
        zorder=4,
    )
