"""The engines by name. A module is imported when one of its engines is asked for, and not before."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from .engine import Engine, Space, Unavailable

Maker = Callable[[Space], Engine]


def _from(module: str, name: str, *arguments: int) -> Maker:
    def make(space: Space) -> Engine:
        try:
            loaded = import_module(f".{module}", __package__)
        except ImportError as error:
            raise Unavailable(f"cannot be imported: {error}") from error
        engine: Engine = getattr(loaded, name)(space, *arguments)
        return engine

    return make


MAKERS: dict[str, Maker] = {
    "faiss-ivf-flat": _from("faiss_index", "ivf_flat"),
    "faiss-ivf-pq-1": _from("faiss_index", "ivf_pq", 1),
    "faiss-ivf-pq-2": _from("faiss_index", "ivf_pq", 2),
    "faiss-ivf-rabitq-1": _from("faiss_index", "ivf_rabitq", 1),
    "faiss-ivf-rabitq-2": _from("faiss_index", "ivf_rabitq", 2),
    "faiss-hnsw": _from("faiss_index", "hnsw"),
    "hnswlib": _from("hnswlib_index", "HnswlibIndex"),
    "usearch": _from("usearch_index", "UsearchIndex"),
    "qdrant-binary": _from("qdrant_edge", "binary"),
    "qdrant-turbo": _from("qdrant_edge", "turbo"),
    "diskann": _from("diskann_index", "DiskannIndex"),
}

FILTERED: dict[str, Maker] = {
    "hnswlib-marked": _from("hnswlib_filtered", "HnswlibMarked"),
    "hnswlib-callback": _from("hnswlib_filtered", "HnswlibCallback"),
    "qdrant-filtered": _from("qdrant_filtered", "QdrantFiltered"),
}
"""Engines that search with filters; each is a `FilteredEngine`."""

NEEDS_OLD_NUMPY = frozenset({"diskann"})
"""Engines that run in the second virtual environment."""


def make(name: str, space: Space) -> Engine:
    """Makes the engine of that name. Raises `Unavailable` with the reason where it cannot be."""
    return {**MAKERS, **FILTERED}[name](space)
