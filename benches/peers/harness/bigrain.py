"""bigrain as a contestant: `bigrain eval --vectors`, one process a round.

A round includes opening the collection; the program warms it up by searching every query once at each
setting, and times single queries afterwards, on one thread, as a caller of the engine would make them.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.engine import Space
from sets.source import sha256
from sets.vector_set import VectorSet

from .contestant import Facts, Failed, Point
from .sweep import ENOUGH, GAIN

PROBES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Numbers of lists, for the comparison list by list; bounds are those of the default target."""

TARGETS = (0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)
"""Target recalls: the knob that users have. Each is a number of lists and a width of bounds."""

PATIENCE_SECONDS = 3600
"""After this long an evaluation is given up."""


@dataclass(frozen=True)
class Variant:
    """A way to store the vectors."""

    levels: int
    dense: str

    @property
    def name(self) -> str:
        """Returns a short name for files and flags."""
        return f"bigrain-{self.levels}-{self.dense}"

    @property
    def title(self) -> str:
        """Returns how reports name it."""
        bits = "1 level" if self.levels == 1 else f"{self.levels} levels"
        return f"bigrain, {bits}, {self.dense} rows on disk"


VARIANTS = [Variant(levels, dense) for levels in (1, 2) for dense in ("f32", "f16")]


class Bigrain:
    """One variant on one set."""

    def __init__(self, variant: Variant, vectors: VectorSet, folder: Path, program: Path, limit: int) -> None:
        self.name = variant.name
        self.title = variant.title
        self._variant, self._vectors, self._limit = variant, vectors, limit
        self._program, self._parent = program, folder
        self._lists = Space(vectors.rows, vectors.dims, vectors.metric).lists
        self.folder = folder
        """Where the collection lies, once it is prepared."""
        self._more_flags: list[str] = []
        self._built: dict[str, Any] = {}
        self._seen: dict[str, Any] = {}

    def prepare(self) -> None:
        """Builds the collection with one thread, unless this very program built it before."""
        if not self._program.is_file():
            raise Failed("the program has not been built")
        self.folder = self._parent / f"{self.name}-{sha256(self._program)[:8]}"
        note = self.folder / "built.json"
        if note.is_file():
            self._built = json.loads(note.read_text())
            return
        for stale in self._parent.glob(f"{self.name}-*"):
            shutil.rmtree(stale)
        self.folder.mkdir(parents=True)
        load, cpu = os.getloadavg()[0], _cpu_of_children()
        told = self.evaluate("probes", [1])["build"]
        self._built = {
            "seconds": told["import_seconds"] + told["index_seconds"],
            # The few queries of this first evaluation are in it too.
            "cpu_seconds": _cpu_of_children() - cpu,
            "load_before": load,
        }
        note.write_text(json.dumps(self._built, indent=2) + "\n")

    def sweep(self, first: list[Point] | None) -> list[Point]:
        """Measures every setting of both knobs in the first round, those that gained in later ones."""
        points = []
        for knob, values in (("probes", [n for n in PROBES if n <= self._lists]), ("target", TARGETS)):
            wanted = values if first is None else _worth_repeating(first, knob)
            told = self.evaluate(knob, wanted)
            self._seen = told["build"]
            points += [
                Point({knob: point["value"]}, point["recall_at_10"], point["qps_1"])
                for point in told["points"]
            ]
        return points

    def facts(self) -> Facts:
        """Returns what the program told of the collection."""
        rows = self._vectors.rows
        return Facts(
            name=self.name,
            title=self.title,
            version=f"sha256 {sha256(self._program)[:12]}",
            how="query by query",
            build_seconds=self._built["seconds"],
            build_cpu_seconds=self._built["cpu_seconds"],
            build_load=self._built["load_before"],
            memory_bytes_per_vector=self._seen["resident_bytes_per_vector"],
            row_bytes_per_vector=0.0,
            rss_bytes_per_vector=(self._seen["rss_bytes"] or 0) / rows or None,
            disk_bytes_per_vector=self._seen["disk_bytes"] / rows,
        )

    def close(self) -> None:
        """Has no process to end."""

    def evaluate(
        self, knob: str, values: Sequence[float], prefix: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Runs one evaluation, behind a command where one is given, and returns its JSON."""
        return evaluate(
            self._program,
            self._vectors,
            [
                *self._more_flags,
                *("--levels", str(self._variant.levels), "--dense", self._variant.dense),
                *("--lists", str(self._lists), "--limit", str(self._limit)),
                *("--data", str(self.folder), "--collection", self.name, "--rounds", "1"),
                *("--sweep", f"{knob}={','.join(map(str, values))}"),
            ],
            prefix,
        )


def evaluate(
    program: Path, vectors: VectorSet, flags: list[str], prefix: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Runs `bigrain eval --vectors` with one thread on a set and returns its JSON."""
    command = [*prefix, str(program), "--threads", "1", "eval", "--json"]
    command += ["--vectors", str(vectors.base_path), "--queries", str(vectors.queries_path)]
    command += ["--metric", vectors.metric, *flags]
    if "--filters" not in flags:
        command += ["--truth", str(vectors.truth_path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"bigrain eval did not finish within {PATIENCE_SECONDS} s") from error
    if done.returncode != 0:
        print(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stderr}", file=sys.stderr)
        raise Failed(f"bigrain eval ended with {done.returncode}: {_reason(done.stderr)}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _worth_repeating(first: list[Point], knob: str) -> list[float]:
    values, last = [], 0.0
    for point in sorted((p for p in first if knob in p.knob), key=lambda point: point.knob[knob]):
        value = point.knob[knob]
        values.append(int(value) if knob == "probes" else value)
        if point.recall >= ENOUGH or (last > 0.5 and point.recall - last < GAIN):
            break
        last = point.recall
    return values


def _reason(stderr: str) -> str:
    """Returns the line that says what went wrong."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line), lines[-1] if lines else "no message")


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
