"""What the programs that run contestants in rounds share: their command line, their sets, their rounds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import rounds
from harness.contestant import Contestant
from harness.results import Results
from sets.catalog import NAMES, open_set
from sets.vector_set import VectorSet


def parser(about: str | None, engines: Sequence[str], *, count: int, queries: int) -> argparse.ArgumentParser:
    """Returns the command line: `count` rounds with `queries` queries, unless the caller says otherwise."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--cache", type=Path, required=True, help="the cache folder of bigrain")
    made.add_argument("--bigrain", type=Path, required=True, help="the program to compare")
    made.add_argument("--out", type=Path, required=True, help="docs/benchmarks")
    made.add_argument("--set", choices=[*NAMES, "all"], default="all")
    made.add_argument("--rounds", type=int, default=count)
    made.add_argument("--rows", type=int, help="index only the first rows of the set")
    made.add_argument("--queries", type=int, default=queries, help="ask the first queries")
    made.add_argument("--engines", nargs="*", choices=engines, help="only these take part")
    made.add_argument("--resume", action="store_true", help="keep the rounds that are there")
    made.add_argument("--render-only", action="store_true")
    made.add_argument("--command", help="the command to name in the page")
    return made


def each_set(
    program: str, options: argparse.Namespace, compare: Callable[[VectorSet, argparse.Namespace], None]
) -> bool:
    """Compares on the sets that were asked for, unless only pages are; says which one is missing."""
    if options.render_only:
        return True
    for name in NAMES if options.set == "all" else (options.set,):
        try:
            whole = open_set(options.cache, name)
        except FileNotFoundError:
            print(f"{program}: error: no set {name} yet: make bench-data", file=sys.stderr)
            return False
        compare(whole, options)
    return True


def wanted(contestants: list[Contestant], options: argparse.Namespace) -> list[Contestant]:
    """Returns the contestants that were asked for."""
    return [one for one in contestants if not options.engines or one.name in options.engines]


def run_rounds(contestants: list[Contestant], results: Results, count: int, kept: Path) -> None:
    """Runs every round, keeping the results after each."""
    ready = rounds.prepare(contestants, results)
    try:
        rounds.run(ready, results, count, lambda results: results.save(kept))
    finally:
        for contestant in ready:
            contestant.close()
