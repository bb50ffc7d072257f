"""Prepares the contestants, then lets them take turns."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from .contestant import Contestant, Entry, Failed
from .results import Results


def prepare(contestants: list[Contestant], results: Results) -> list[Contestant]:
    """Builds or finds every index, one after the other; returns those who can take part."""
    ready = []
    for contestant in contestants:
        say(f"preparing {contestant.name}")
        start = time.monotonic()
        try:
            contestant.prepare()
        except Failed as error:
            results.skipped[contestant.name] = str(error)
            say(f"leaving out {contestant.name}: {error}")
            continue
        say(f"{contestant.name} is ready after {time.monotonic() - start:.0f} s")
        ready.append(contestant)
    return ready


def run(
    contestants: list[Contestant], results: Results, rounds: int, keep: Callable[[Results], None]
) -> None:
    """Lets every contestant sweep once a round, in turns of the order, until there are `rounds`.

    Rounds of an earlier run count as far as everyone finished them, so turns stay turns. A contestant
    that fails during the rounds is taken out of the results, with the reason.
    """
    for number in range(_finished(contestants, results), rounds):
        start = time.monotonic()
        results.loads = [*results.loads[:number], round(os.getloadavg()[0], 2)]
        # Whoever goes first meets another state of the machine than who follows: rotate.
        first = number % max(len(contestants), 1)
        for contestant in contestants[first:] + contestants[:first]:
            if contestant.name in results.skipped:
                continue
            try:
                _sweep(contestant, results)
            except Failed as error:
                results.skipped[contestant.name] = str(error)
                results.entries = [e for e in results.entries if e.facts.name != contestant.name]
                say(f"taking out {contestant.name}: {error}")
        keep(results)
        say(f"round {number + 1} of {rounds} took {time.monotonic() - start:.0f} s")


def _finished(contestants: list[Contestant], results: Results) -> int:
    """Returns how many rounds everyone has finished, and forgets those only some did."""
    entries = {entry.facts.name: entry for entry in results.entries}
    done = min((len(entries[c.name].rounds) if c.name in entries else 0 for c in contestants), default=0)
    names = {contestant.name for contestant in contestants}
    results.entries = [entry for entry in results.entries if done and entry.facts.name in names]
    for entry in results.entries:
        del entry.rounds[done:]
    return done


def _sweep(contestant: Contestant, results: Results) -> None:
    entry = results.entry(contestant.name)
    points = contestant.sweep(entry.rounds[0] if entry is not None else None)
    facts = contestant.facts()
    if entry is None:
        entry = Entry(facts)
        results.entries.append(entry)
    entry.facts = facts
    entry.rounds.append(points)


def say(message: str) -> None:
    """Tells whoever watches what is going on."""
    print(f"bench-peers: {message}", file=sys.stderr, flush=True)
