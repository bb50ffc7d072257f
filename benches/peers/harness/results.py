"""Results of one set, kept as JSON beside the page so that it can be drawn again."""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sets.source import sha256
from sets.vector_set import VectorSet

from . import machine
from .contestant import Entry


@dataclass
class Results:
    """Everything a page needs."""

    set: dict[str, Any]
    machine: dict[str, Any]
    command: str
    program: str
    """Hash of the bigrain that was compared."""
    date: str
    limit: int
    entries: list[Entry] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Contestants that did not take part, and why."""
    loads: list[float] = field(default_factory=list)
    """Load average of the machine at the start of each round."""

    @property
    def rounds(self) -> int:
        """Returns how many rounds every contestant has finished."""
        return min((len(entry.rounds) for entry in self.entries), default=0)

    def entry(self, name: str) -> Entry | None:
        """Returns the contestant of that name, if it took part."""
        return next((entry for entry in self.entries if entry.facts.name == name), None)

    def save(self, path: Path) -> None:
        """Writes everything, all or nothing."""
        told = {**vars(self), "entries": [entry.to_json() for entry in self.entries]}
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(told, indent=1) + "\n")
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Reads what `save` wrote."""
        told = json.loads(path.read_text())
        told["entries"] = [Entry.from_json(entry) for entry in told["entries"]]
        return cls(**told)

    @classmethod
    def opened(cls, kept: Path, vectors: VectorSet, options: argparse.Namespace, limit: int) -> Results:
        """Returns the results to go on with, where that was asked for and they fit, or empty ones."""
        told = json.loads((vectors.folder / "set.json").read_text())
        program = sha256(options.bigrain) if options.bigrain.is_file() else "none"
        if options.resume and kept.is_file():
            results = cls.load(kept)
            if results.set["sha256"] == told["sha256"] and results.program == program:
                results.skipped.clear()
                return results
            print(f"{kept} is of other vectors or another program: starting anew", file=sys.stderr)
        return cls(
            set=told,
            machine=machine.describe(),
            command=options.command or shlex.join(["python", *sys.argv]),
            program=program,
            date=datetime.date.today().isoformat(),
            limit=limit,
        )
