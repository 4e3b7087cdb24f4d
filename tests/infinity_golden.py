"""Reference vectors made with the official Infinity model on tiny random weights, found by listing a folder.

The folder is tests/data/infinity or BEAMSCOPE_GOLDEN_DIR. A case is NAME.weights.safetensors with official names,
NAME.reference.safetensors and an entry in a *.json of transformers.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from core.models.infinity.config import InfinityConfig
from core.models.infinity.schedule import Schedule, schedule
from core.models.infinity.transformer import InfinityTransformer

FOLDER = Path(os.environ.get("BEAMSCOPE_GOLDEN_DIR") or Path(__file__).parent / "data" / "infinity")
ENDING = ".weights.safetensors"


@dataclass(frozen=True)
class Case:
    config: InfinityConfig
    schedule: Schedule
    seed: int
    reference: dict[str, Tensor]
    model: InfinityTransformer


def _described() -> dict[str, dict]:
    """Every transformer's settings by name, from all json files of the folder."""
    found = {}
    for path in FOLDER.glob("*.json"):
        data = json.loads(path.read_text())
        found |= {name: case for name, case in data.items() if isinstance(case, dict) and "depth" in case}
    return found


def transformer_cases() -> list[str]:
    """Names of the weights that are there and are no autoencoder's."""
    names = sorted(path.name.removesuffix(ENDING) for path in FOLDER.glob(f"*{ENDING}"))
    return [name for name in names if "cfg_uncond" in _keys(name)]


def _keys(name: str) -> set[str]:
    with safe_open(FOLDER / f"{name}{ENDING}", "pt") as file:
        return set(file.keys())


def load_case(name: str) -> Case:
    case = _described()[name]
    shape = {key: case[key] for key in ("depth", "dim", "heads", "chunks", "latent_channels", "patchify", "text_dim")}
    sampling = {key: case[key] for key in ("cfg", "tau", "top_p")}
    config = InfinityConfig(name, **shape, **sampling)
    whole = schedule(case["aspect_h_over_w"], "1M", config.patchify)
    grids = replace(whole, grids=whole.grids[: len(case["scales"])])
    assert [list(grid) for grid in grids.grids] == case["scales"]
    model = InfinityTransformer(config)
    weights = load_file(FOLDER / f"{name}{ENDING}")
    model.load_state_dict(renamed(weights, config), strict=True)
    reference = load_file(FOLDER / f"{name}.reference.safetensors")
    return Case(config, grids, case["seed"], reference, model.placed("cpu", model.head.weight.dtype))


def renamed(official: dict[str, Tensor], config: InfinityConfig) -> dict[str, Tensor]:
    """Official names -> ours: blocks in one list, no zero_k_bias."""
    ours = {}
    for key, value in official.items():
        parts = key.split(".")
        if parts[0] == "block_chunks":
            parts = ["blocks", str(int(parts[1]) * config.blocks_per_chunk + int(parts[3])), *parts[4:]]
        if parts[-1] != "zero_k_bias":
            ours[".".join(parts)] = value.float()
    return ours
