"""What an engine does that searches with filters: rows carry numbers, and a range of one must match."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from .engine import Engine

Numbers = dict[str, npt.NDArray[np.int64]]
"""For each field, the number of every row."""


class FilteredEngine(Engine):
    """An engine whose rows carry numbers."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.numbers: Numbers = {}

    def carry(self, numbers: Numbers) -> None:
        """Takes the numbers of the rows, before they are built or opened."""
        self.numbers = numbers

    @abstractmethod
    def choose(self, field: str, end: int) -> None:
        """Lets the searches that follow find rows only whose `field` is below `end`.

        What has to be done once for a filter is done here, where nothing is timed.
        """
