#!/usr/bin/env python3
"""Makes the vector sets of the benchmarks, once, in the cache folder: `make bench-data`.

Stopped at any moment, it goes on where it was. The 305,000 sentences are encoded by `bigrain encode`;
that takes longest, and says how long.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sets.catalog import NAMES, prepare
from sets.encoder import Encoder
from sets.source import SourceError


def main() -> int:
    """Makes the sets that were asked for and says what each holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="the cache folder of bigrain")
    parser.add_argument("--bigrain", type=Path, required=True, help="the program that encodes")
    parser.add_argument("--model", type=Path, help="a folder of all-MiniLM-L6-v2")
    parser.add_argument("--set", choices=[*NAMES, "all"], default="all")
    options = parser.parse_args()
    encoder = Encoder(options.bigrain, options.model)
    for name in NAMES if options.set == "all" else [options.set]:
        try:
            made = prepare(options.cache, name, encoder)
        except SourceError as error:
            print(f"bench-data: error: {name}: {error}", file=sys.stderr)
            return 1
        print(f"{name}: {made.rows:,} x {made.dims}, {made.queries:,} queries, {made.metric}: {made.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
