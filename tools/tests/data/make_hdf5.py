"""Makes the HDF5 files of the tests, in the layout of ann-benchmarks, with h5py 3.16 (HDF5 2.0).

python make_hdf5.py writes them beside itself. The vectors are small whole numbers, so that every
distance is exact and neighbours need no tolerance.
"""

from pathlib import Path

import h5py
import numpy as np

ROWS, QUERIES, DIMS, WIDTH = 60, 5, 6, 12
HERE = Path(__file__).parent


def vectors(rows: int, seed: int) -> np.ndarray:
    numbers = np.arange(rows * DIMS, dtype=np.int64) * 7919 + seed * 104729
    return (numbers * numbers % 31 - 15).reshape(rows, DIMS)


def neighbors(base: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    squared = ((queries[:, None, :] - base[None, :, :]) ** 2).sum(axis=2)
    order = np.argsort(squared, axis=1, kind="stable")[:, :WIDTH]
    return order, np.sqrt(np.take_along_axis(squared, order, axis=1))


def write(name: str, libver: str, float_type: str, id_type: str, **layout: object) -> None:
    base, queries = vectors(ROWS, 1), vectors(QUERIES, 2)
    ids, distances = neighbors(base, queries)
    with h5py.File(HERE / name, "w", libver=libver) as file:
        file.attrs["type"] = "dense"
        file.attrs["distance"] = "euclidean"
        file.create_dataset("train", data=base.astype(float_type), **layout)
        file.create_dataset("test", data=queries.astype(float_type), **layout)
        file.create_dataset("neighbors", data=ids.astype(id_type), **layout)
        file.create_dataset("distances", data=distances.astype(float_type), **layout)


write("contiguous.hdf5", "earliest", "f4", "i4")
write("chunked.hdf5", "earliest", "f4", "i8", chunks=(4, 4), compression="gzip")
write("latest.hdf5", "latest", "f8", "i4", chunks=True, compression="gzip", shuffle=True)
write("big_endian.hdf5", "latest", ">f4", ">i4")
