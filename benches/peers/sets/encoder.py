"""Turns texts into embeddings with `bigrain encode`, a chunk at a time, so that it can be resumed."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .progress import Progress
from .source import SourceError
from .vector_files import Vectors, write_npy

CHUNK = 4096
"""Texts encoded by one process: about a minute of work lost at most when it is stopped."""


@dataclass(frozen=True)
class Encoder:
    """The program and the model it uses (its default where none is given)."""

    program: Path
    model: Path | None = None

    def encode(self, texts: list[str], work: Path) -> Vectors:
        """Returns f32 [texts, dims]; chunks that lie in `work` from an earlier run are kept."""
        work.mkdir(parents=True, exist_ok=True)
        chunks = [work / f"{start:08}.npy" for start in range(0, len(texts), CHUNK)]
        there = sum(path.is_file() for path in chunks)
        progress, made = Progress("encoding", len(chunks), every=60), 0
        for number, path in enumerate(chunks):
            if path.is_file():
                continue
            write_npy(path, self._chunk(texts[number * CHUNK : (number + 1) * CHUNK], work))
            made += 1
            progress.step(there + made, made)
        return np.concatenate([np.load(path) for path in chunks])

    def _chunk(self, texts: list[str], work: Path) -> Vectors:
        with tempfile.NamedTemporaryFile("w", dir=work, suffix=".txt", encoding="utf-8") as file:
            file.write("\n".join(texts) + "\n")
            file.flush()
            command = [str(self.program), "encode", "--file", file.name]
            if self.model is not None:
                command += ["--model", str(self.model)]
            done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0:
            raise SourceError(f"{' '.join(command)} failed: {done.stderr.decode()[-2000:]}")
        # Decimals are written shortest first, so reading them gives the same f32 back.
        values = np.fromstring(done.stdout, dtype=np.float32, sep=" ")
        if not len(texts) or values.size % len(texts):
            raise SourceError(
                f"{self.program}: expected a vector for each of {len(texts)} texts, "
                f"found {values.size} values in all"
            )
        return values.reshape(len(texts), -1)
