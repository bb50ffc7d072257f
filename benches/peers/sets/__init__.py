"""The vector sets that engines are compared on: where they come from, and their exact answers.

A set is a folder of the cache holding

    base.npy       f32 [rows, dims]      what is indexed
    queries.npy    f32 [queries, dims]   what is asked; none of it is in the base
    truth.ivecs    i32 [queries, 100]    the exact nearest rows, best first
    set.json       sources, counts, metric, and the hash of each file

`set.json` is written last, so a folder that has one is complete. Every source is pinned by the hash
of its content, and every random choice by a seed: two machines get the same vectors, up to the last
bits of the encoder's arithmetic.

Adding a set: a module with `build(folder, tools) -> None` beside these, and a line in `catalog.py`.
"""
