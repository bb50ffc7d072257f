"""How far a long job is, and when it will be done, as lines on standard error."""

from __future__ import annotations

import sys
import time


class Progress:
    """Counts steps of one job and reports at most every few seconds."""

    def __init__(self, what: str, total: int, every: float = 10.0) -> None:
        self._what, self._total, self._every = what, total, every
        self._start = self._told = time.monotonic()

    def step(self, done: int, here: int) -> None:
        """Reports `done` steps in all, of which `here` were made by this process."""
        now = time.monotonic()
        if now - self._told < self._every and done < self._total:
            return
        self._told = now
        left = (now - self._start) / max(here, 1) * (self._total - done)
        share = 100 * done / self._total
        print(
            f"bench-data: {self._what}: {done:,} of {self._total:,} ({share:.0f} %), "
            f"{left / 60:.0f} min left",
            file=sys.stderr,
            flush=True,
        )
