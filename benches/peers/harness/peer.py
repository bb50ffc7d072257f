"""An engine of `engines/` as a contestant, in a worker process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.catalog import NEEDS_OLD_NUMPY
from sets.filter_cases import FilterCases
from sets.vector_set import VectorSet

from .contestant import Facts, Failed, Knob, Point
from .sweep import explore, useful

_ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
}


@dataclass(frozen=True)
class Pythons:
    """The interpreters of the two virtual environments."""

    new: Path
    old: Path | None

    def of(self, engine: str) -> Path:
        """Returns the one an engine runs in. Raises `Failed` where it is missing."""
        if engine not in NEEDS_OLD_NUMPY:
            return self.new
        if self.old is None or not self.old.is_file():
            raise Failed("its virtual environment could not be made")
        return self.old


class Peer:
    """One engine on one set."""

    def __init__(
        self,
        name: str,
        vectors: VectorSet,
        folder: Path,
        pythons: Pythons,
        limit: int,
        cases: FilterCases | None = None,
    ) -> None:
        self.name = name
        self._cases = cases
        self._vectors, self._folder, self._limit = vectors, folder / name, limit
        self._log = folder / f"{name}.log"
        self._pythons = pythons
        self._process: subprocess.Popen[str] | None = None
        self._built: dict[str, Any] = {}
        self._opened: dict[str, Any] = {}
        self._rss: int | None = None

    def prepare(self) -> None:
        """Builds the index in a process that then ends, and opens it in another."""
        self.build()
        self._process = self._start("serve")
        self._opened = self._converse(self._process)

    def build(self) -> Path:
        """Builds the index unless it is there, and returns its folder."""
        self._built = self._converse(self._start("build"))
        return self._folder

    def sweep(self, first: list[Point] | None) -> list[Point]:
        """Measures every series in the first round, what was useful in later ones; case by case, if
        there are filter cases.
        """
        if self._cases is None:
            return self._sweep(first, {})
        points = []
        for case in range(len(self._cases.cases)):
            of_case = None if first is None else [p for p in first if p.knob["case"] == case]
            points += self._sweep(of_case, {"case": case})
        return points

    def facts(self) -> Facts:
        """Returns what the worker told of itself."""
        rows = self._vectors.rows
        return Facts(
            name=self.name,
            title=self._opened["title"],
            version=f"{self._opened['package']} {self._opened['version']}",
            how=self._opened["how"],
            build_seconds=self._built["seconds"],
            build_cpu_seconds=self._built["cpu_seconds"],
            build_load=self._built["load_before"],
            memory_bytes_per_vector=self._opened["memory_bytes"] / rows,
            row_bytes_per_vector=self._opened["row_bytes"] / rows,
            rss_bytes_per_vector=None if self._rss is None else self._rss / rows,
        )

    def close(self) -> None:
        """Ends the worker."""
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _sweep(self, first: list[Point] | None, case: Knob) -> list[Point]:
        if first is None:
            series = [[{**case, **knob} for knob in knobs] for knobs in self._opened["series"]]
            return explore(series, self._measure)
        return [self._measure(knob) for knob in useful(first)]

    def _measure(self, knob: Knob) -> Point:
        if self._process is None or self._process.stdin is None:
            raise Failed("it was not started")
        self._process.stdin.write(json.dumps({"knob": knob}) + "\n")
        self._process.stdin.flush()
        told = self._converse(self._process)
        self._rss = told["rss_bytes"]
        return Point(knob, told["recall"], told["qps"])

    def _start(self, action: str) -> subprocess.Popen[str]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [str(self._pythons.of(self.name)), "-m", "harness.worker", action]
        command += ["--engine", self.name, "--set", str(self._vectors.folder)]
        command += ["--index", str(self._folder), "--limit", str(self._limit)]
        if self._cases is not None:
            command += ["--cases", str(self._cases.folder)]
        with self._log.open("a") as log:
            return subprocess.Popen(
                command,
                cwd=Path(__file__).parent.parent,
                env={**os.environ, **_ONE_THREAD},
                stdin=subprocess.PIPE if action == "serve" else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _converse(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Reads one message of the worker."""
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            code = process.wait()
            raise Failed(f"its process ended with {code}: {_last_line(self._log)}")
        told: dict[str, Any] = json.loads(line)
        if "unavailable" in told:
            raise Failed(told["unavailable"])
        return told


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no message"


def current_python() -> Path:
    """Returns the interpreter that runs this program."""
    return Path(sys.executable)
