"""What the picture of a state costs: one price for all, or, where a generator says so, one that grows with the step.

A model of large images shows an early state in a few pixels, which is much cheaper than the image itself.
"""

from __future__ import annotations

from typing import Any

from core.search.budget import Cost


def preview_cost(generator: Any, step: int) -> Cost:
    """Of one preview after `step` decisions."""
    return generator.preview_cost(step) if hasattr(generator, "preview_cost") else generator.decode_cost


def preview_bytes(generator: Any, step: int) -> int:
    """Working memory of one preview after `step` decisions."""
    return generator.preview_bytes(step) if hasattr(generator, "preview_bytes") else generator.decode_bytes
