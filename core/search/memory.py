"""Memory that is used up: what was freed is given back before less is tried. Imports nothing that a model uses."""

from __future__ import annotations

import gc
import sys


def let_go() -> None:
    """Also what torch keeps of a GPU's memory for later: in pieces it may not do for one large tensor."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch is not None and torch.backends.mps.is_available():
        torch.mps.empty_cache()
