"""The section on codes alone: what is found when nothing is verified."""

from __future__ import annotations

import json
from pathlib import Path

from .table import table

_TEXT = """\
## Codes alone

Recall@10 when every code is scored and nothing is verified, against FAISS's flat RaBitQ of as many bits
(`RR,RaBitQn`, mean of {seeds} random rotations, lowest to highest in brackets).

```bash
make bench-codes
```"""

_VERIFIED = """\
### Verified

Recall@10 and rows read a query where every code is scored and the best are verified, most promising first,
until no other can be among the results. The target recall sets how wide the bounds are."""


def sections(figures: Path) -> list[str]:
    """Returns the section, or nothing where it was not measured."""
    rows, verified, runs, told = [], [], [], None
    for path in sorted(figures.glob("codes-*.json")):
        told = json.loads(path.read_text())
        runs.append(f"- {told['set']}: {told['date']}, {told['cpu']}, `{told['command']}`")
        for level in told["levels"]:
            ours, theirs = level["ours"], level["faiss"]
            name = f"{told['set']} ({told['dims']}-d, {told['metric']})"
            mean = sum(theirs) / len(theirs)
            rows.append([
                name,
                str(level["levels"]),
                "–" if ours is None else f"{ours:.4f}",
                f"{mean:.4f} ({min(theirs):.4f} to {max(theirs):.4f})",
                "–" if ours is None else f"{100 * (ours - mean):+.2f}",
            ])  # fmt: skip
            verified += [
                [
                    name,
                    str(level["levels"]),
                    f"{point['candidates']}",
                    f"{point['target']:g}",
                    f"{point['recall']:.4f}",
                    f"{point['rows_read']:.1f}",
                ]
                for point in level.get("verified", [])
            ]
    if told is None:
        return []
    head = ["set", "bits a dimension", "ours", "FAISS RaBitQ", "difference, points"]
    parts = [_TEXT.format(**told), "\n".join(runs), table(head, rows)]
    if verified:
        head = ["set", "bits a dimension", "candidates", "target recall", "recall@10", "rows read"]
        parts += [_VERIFIED, table(head, verified)]
    return parts
