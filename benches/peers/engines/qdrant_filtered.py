"""Qdrant Edge with a filter: integer indexes on the payload, made before the graph, so that its own
planner and the links it adds for indexed fields take part. f32 rows, no quantization, and its own
threshold for scoring all rows that match instead of walking the graph."""

from __future__ import annotations

from typing import Any

import qdrant_edge as qdrant

from .engine import Knob, Space, grid
from .filtered import FilteredEngine
from .graph import WIDTHS
from .qdrant_edge import QdrantEdge

_FULL_SCAN_KB = 10_000
"""Qdrant's default."""


class QdrantFiltered(FilteredEngine, QdrantEdge):
    """A shard whose points carry the numbers as payload."""

    full_scan_kb = _FULL_SCAN_KB

    def __init__(self, space: Space) -> None:
        super().__init__(space, "f32, payload indexes", None)
        self._filter: Any = None

    def before_points(self, shard: Any) -> None:
        for field in self.numbers:
            schema = qdrant.PayloadSchemaType.Integer
            shard.update(qdrant.UpdateOperation.create_field_index(field, schema))

    def payload(self, row: int) -> dict[str, int]:
        return {field: int(values[row]) for field, values in self.numbers.items()}

    def choose(self, field: str, end: int) -> None:
        condition = qdrant.FieldCondition(field, range=qdrant.RangeFloat(lt=float(end)))
        self._filter = qdrant.Filter(must=[condition])

    def series(self) -> list[list[Knob]]:
        return [grid("hnsw_ef", WIDTHS)]

    def request(self, query: list[float], limit: int, knob: Knob) -> Any:
        params = qdrant.SearchParams(hnsw_ef=int(knob["hnsw_ef"]))
        return qdrant.QueryRequest(
            limit, query=qdrant.Query.Nearest(query), filter=self._filter, params=params
        )
