"""The section on codes alone: what is found when nothing is verified."""

from __future__ import annotations

import json
from pathlib import Path

from .table import table

_TEXT = """\
## Codes alone

Recall@10 when every code is scored and nothing is verified, against FAISS's flat RaBitQ of as many bits
(`RR,RaBitQn`, mean of {seeds} random rotations, lowest to highest in brackets). {date}, {cpu}.

```bash
{command}
```"""


def sections(figures: Path) -> list[str]:
    """Returns the section, or nothing where it was not measured."""
    rows, told = [], None
    for path in sorted(figures.glob("codes-*.json")):
        told = json.loads(path.read_text())
        for level in told["levels"]:
            ours, theirs = level["ours"], level["faiss"]
            mean = sum(theirs) / len(theirs)
            rows.append([
                f"{told['set']} ({told['dims']}-d, {told['metric']})",
                str(level["levels"]),
                "–" if ours is None else f"{ours:.4f}",
                f"{mean:.4f} ({min(theirs):.4f} to {max(theirs):.4f})",
                "–" if ours is None else f"{100 * (ours - mean):+.2f}",
            ])  # fmt: skip
    if told is None:
        return []
    head = ["set", "bits a dimension", "ours", "FAISS RaBitQ", "difference, points"]
    return [_TEXT.format(**told), table(head, rows)]
