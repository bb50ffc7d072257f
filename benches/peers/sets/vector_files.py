"""Reads and writes the files of a set, all or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]


def write_npy(path: Path, rows: Vectors) -> None:
    """Writes f32 [rows, dims] in C order."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, np.ascontiguousarray(rows, np.float32))
    os.replace(part, path)


def write_ivecs(path: Path, rows: Ids) -> None:
    """Writes i32 [rows, k]: before each row, its length."""
    lengths = np.full((len(rows), 1), rows.shape[1], np.int32)
    part = path.with_suffix(".part")
    np.hstack([lengths, rows.astype(np.int32)]).astype("<i4").tofile(part)
    os.replace(part, path)


def read_ivecs(path: Path) -> Ids:
    """Reads i32 [rows, k]; every row is as long as the first."""
    flat = np.fromfile(path, "<i4")
    width = int(flat[0]) + 1 if flat.size else 1
    if flat.size % width or (flat[::width] != width - 1).any():
        raise ValueError(f"{path}: expected rows of {width - 1} ids, found another length")
    return flat.reshape(-1, width)[:, 1:]
