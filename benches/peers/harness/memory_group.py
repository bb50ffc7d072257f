"""A limit on the memory of one process, page cache included, where the system lets us set one.

A child of the group this process is in (cgroup v1 or v2) is made for each run and removed after it, so
no limit around us is changed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryGroup:
    """A group with a limit; programs started behind `prefix` live in it."""

    folder: Path
    version: int

    @classmethod
    def create(cls, name: str, limit_bytes: int) -> MemoryGroup | None:
        """Makes a group, or returns None where that is not permitted."""
        for parent, version in _parents():
            folder = parent / name
            limit = "memory.limit_in_bytes" if version == 1 else "memory.max"
            try:
                if version == 2 and "memory" not in _read(parent / "cgroup.subtree_control"):
                    (parent / "cgroup.subtree_control").write_text("+memory")
                folder.mkdir()
            except OSError:
                continue
            try:
                (folder / limit).write_text(str(limit_bytes))
            except OSError:
                folder.rmdir()
                continue
            return cls(folder, version)
        return None

    @property
    def prefix(self) -> tuple[str, ...]:
        """Returns what to put before a command so that it runs inside."""
        enter = f'echo $$ > "{self.folder}/cgroup.procs" && exec "$@"'
        return ("sh", "-c", enter, "sh")

    def peak_bytes(self) -> int | None:
        """Returns the most that was ever used, where the system counts it."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        text = _read(self.folder / name)
        return int(text) if text else None

    def kills(self) -> int:
        """Returns how many processes were killed for memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        counts = dict(line.split() for line in _read(self.folder / name).splitlines())
        return int(counts.get("oom_kill", 0))

    def remove(self) -> None:
        """Removes the group once its processes have ended."""
        for _ in range(50):
            try:
                self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.1)


def _parents() -> list[tuple[Path, int]]:
    """Returns the groups this process is in that may hold a memory limit."""
    found = []
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            found.append((_V1 / path.lstrip("/"), 1))
        elif not controllers:
            found.append((_V2 / path.lstrip("/"), 2))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
