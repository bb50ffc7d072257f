"""The curves of one set as a picture: queries a second, in powers of ten, against recall."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt

matplotlib.use("svg")
from matplotlib import pyplot as plt

from .contestant import Entry
from .curve import frontier, medians
from .results import Results

_LEAST, _MOST = 0.8, 0.9992
_TICKS = (0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
MARKS = "osv^D<>Pp*Xh"


def prepare() -> None:
    """Sets what every picture shares; the same figures give the same bytes."""
    plt.rcParams.update({"svg.hashsalt": "bigrain", "svg.fonttype": "none", "font.size": 9})


def draw(results: Results, path: Path) -> None:
    """Writes the picture as SVG; the same figures give the same bytes."""
    prepare()
    figure, axes = plt.subplots(figsize=(9, 8), layout="constrained")
    for number, entry in enumerate(results.entries):
        _line(axes, entry, number)
    axes.set_xscale("function", functions=(_stretch, _shrink))
    axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    axes.set(
        yscale="log",
        xlim=(_LEAST, _MOST),
        xlabel=f"recall@{results.limit}",
        ylabel="queries a second, one thread",
        title=f"{results.set['title']}: {results.set['base_rows']:,} x {results.set['dims']}, "
        f"{results.set['metric']}",
    )
    axes.grid(True, which="both", linewidth=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _stretch(recall: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Spreads out what lies near 1, where engines differ most."""
    return -np.log10(np.maximum(1.001 - recall, 1e-6))


def _shrink(place: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1.001 - 10.0**-place


def _line(axes: plt.Axes, entry: Entry, number: int) -> None:
    points = [point for point in frontier(medians(entry)) if point.recall >= _LEAST]
    ours = entry.facts.name.startswith("bigrain")
    axes.plot(
        [min(point.recall, _MOST) for point in points],
        [point.qps for point in points],
        label=entry.facts.title,
        color=f"C{number % 10}",
        linestyle="-" if ours else "--",
        linewidth=2.2 if ours else 1,
        zorder=3 if ours else 2,
        marker=MARKS[number % len(MARKS)],
        markersize=4,
    )
