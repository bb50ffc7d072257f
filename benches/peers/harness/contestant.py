"""What takes part in a comparison, whatever process it runs in."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

Knob = dict[str, float]


class Failed(Exception):
    """A contestant that cannot take part; the message says why."""


@dataclass(frozen=True)
class Point:
    """What one setting gave in one round."""

    knob: Knob
    recall: float
    qps: float


@dataclass(frozen=True)
class Facts:
    """What is known of a contestant beside its points."""

    name: str
    title: str
    version: str
    how: str
    """How queries reach it."""
    build_seconds: float
    build_cpu_seconds: float | None
    build_load: float
    """Load average of the machine when the build began."""
    memory_bytes_per_vector: float
    """By its own account, f32 rows included where it keeps them in memory."""
    row_bytes_per_vector: float
    """The part of that which is the rows themselves."""
    rss_bytes_per_vector: float | None = None
    """What the process grew by, maps that were touched included."""
    disk_bytes_per_vector: float = 0.0


@dataclass
class Entry:
    """A contestant's line in the results."""

    facts: Facts
    rounds: list[list[Point]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Returns the entry as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Entry:
        """Reads what `to_json` gave."""
        rounds = [[Point(**point) for point in points] for points in told["rounds"]]
        return cls(Facts(**told["facts"]), rounds)


class Contestant(Protocol):
    """Builds once, then sweeps once a round."""

    name: str

    def prepare(self) -> None:
        """Builds the index or finds it. Raises `Failed`."""

    def sweep(self, first: list[Point] | None) -> list[Point]:
        """Measures one round; `first` is what the first round found, None in the first itself."""

    def facts(self) -> Facts:
        """Returns what is known, once a round was swept."""

    def close(self) -> None:
        """Ends its process, if it has one."""
