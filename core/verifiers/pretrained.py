"""Models of others: loaded strictly from folders that transformers reads, nothing lacking, nothing left over; and how
many images they take at a time."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.search.errors import WeightsMissing

NAMED = 3  # keys in a sentence
WORDS = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model")  # a tokenizer has its words in one of these


def images_a_call(model: nn.Module, most: int) -> int:
    """On a CPU one: it takes a second or more, nothing is gained by more, and a person may want to stop in between."""
    return 1 if next(model.parameters()).device.type == "cpu" else most


def load_pretrained(cls: Any, folder: Path, device: str, dtype: torch.dtype) -> Any:
    """A model of transformers' class `cls`, ready for inference. Raises WeightsMissing naming the folder."""
    try:
        model, found = cls.from_pretrained(folder, dtype=dtype, local_files_only=True, output_loading_info=True)
    except Exception as error:  # files that are not there, are damaged, or are of another model
        raise wrong(folder, str(error).strip().partition("\n")[0] or type(error).__name__) from error
    for what in ("missing", "unexpected", "mismatched"):
        keys = sorted(map(str, found[f"{what}_keys"]))
        if keys:
            more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
            raise wrong(folder, f"{what} keys {', '.join(keys[:NAMED])}{more}")
    return model.to(device).eval().requires_grad_(False)


def load_tokenizer(folder: Path) -> Any:
    """Raises WeightsMissing naming the folder."""
    from transformers import AutoTokenizer

    if not any((folder / name).is_file() for name in WORDS):  # transformers would make one that knows no word
        raise wrong(folder, f"no tokenizer: none of {', '.join(WORDS)}")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise wrong(folder, f"no tokenizer: {str(error).strip().partition(chr(10))[0]}") from error


def wrong(folder: Path, reason: str) -> WeightsMissing:
    return WeightsMissing(f"the model in {folder} cannot be loaded ({reason}): download it again")
