"""What all graphs share: neighbours a node, effort of construction, and the widths searched."""

from __future__ import annotations

DEGREE = 16
"""Links of a node on upper layers; twice as many on the lowest."""
CONSTRUCTION = 200
"""Candidates kept while a node is linked."""
WIDTHS = (10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448, 640, 896, 1280)
"""Candidates kept during a search."""
