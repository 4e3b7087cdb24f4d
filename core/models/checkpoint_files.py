"""Weights as others publish them, loaded strictly: what does not fit is said with the file's name."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from core.search.errors import WeightsMissing

NAMED = 3  # keys in a sentence


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, or of a .pt or .pth, which is mapped into memory and may hold nothing else.

    Raises WeightsMissing.
    """
    if not path.is_file():
        raise WeightsMissing(f"{path} is missing: download the model again, or put the file there")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # pickles, zips and headers break in many ways
        reason = str(error).partition("\n")[0]
        raise WeightsMissing(f"{path} cannot be read ({reason}): it is damaged, download it again") from error


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Give a module (on meta, too) exactly these tensors, ready for inference. Raises WeightsMissing naming `path`."""
    expected = module.state_dict()
    wrong = {
        "lacks": sorted(expected.keys() - tensors.keys()),
        "has, unknown here,": sorted(tensors.keys() - expected.keys()),
        "has in another shape": [f"{key} {list(tensors[key].shape)} instead of {list(value.shape)}"
                                 for key, value in expected.items()
                                 if key in tensors and tensors[key].shape != value.shape],
    }  # fmt: skip
    said = [f"{what} {', '.join(keys[:NAMED])}{f' and {len(keys) - NAMED} more' if len(keys) > NAMED else ''}"
            for what, keys in wrong.items() if keys]  # fmt: skip
    if said:
        raise WeightsMissing(f"{path} is not the model's file: it {'; it '.join(said)}. Download it again")
    module.load_state_dict(dict(tensors), strict=True, assign=True)
    return module.eval().requires_grad_(False)
