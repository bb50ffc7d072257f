"""Drops files from the page cache."""

from __future__ import annotations

import os
from pathlib import Path


def drop(folder: Path) -> None:
    """Drops every file under a folder, so that the next read of it comes from the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def device(path: Path) -> str:
    """Returns the name of the device a path lies on."""
    number = path.stat().st_dev
    node = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    return node.resolve().name if node.exists() else "unknown"
