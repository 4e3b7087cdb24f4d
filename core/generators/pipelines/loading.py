"""From a downloaded package to a generator. Nothing of diffusers is imported before this is asked for."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from core.generators.pipelines.diffusion import Diffusion
from core.generators.pipelines.family import Family, Sampling
from core.generators.pipelines.pictures import FullPictures, Pictures, TinyPictures
from core.packages import located, package
from core.place import Place, place
from core.search.errors import WeightsMissing, is_out_of_memory

LIBRARIES = {"diffusers": "diffusers>=0.40,<1", "accelerate": "accelerate>=1.10,<2"}
BATCH = {"cpu": 1}  # candidates a call; elsewhere:
BATCH_ELSEWHERE = 4


def opened(name: str, family: type[Family], weights: str, sampling: Sampling) -> Diffusion:
    """The generator `name` of a downloaded package, where the environment says.

    Generators of one package share its networks. Raises WeightsMissing with what to fetch or to install.
    """
    require_libraries(name)
    where = place()
    pipe, quick = _networks(weights, family.pipeline, family.tiny, where)
    batch = BATCH.get(where.device, BATCH_ELSEWHERE)
    return Diffusion(name, family(pipe, sampling), FullPictures(pipe.vae), quick, where.device, batch)


def require_libraries(name: str) -> None:
    """Raises WeightsMissing with the command that installs what is lacking."""
    lacking = [library for library in LIBRARIES if find_spec(library) is None]
    if lacking:
        wanted = " ".join(f"'{LIBRARIES[library]}'" for library in lacking)
        raise WeightsMissing(f"{name} needs {' and '.join(lacking)}, not installed here: run pip install {wanted}")


@cache
def _networks(weights: str, pipeline: str, tiny: str, where: Place) -> tuple[Any, Pictures | None]:
    """The pipeline and the small decoder for its previews, None where that one is not downloaded."""
    import diffusers

    pipe = _read(weights, getattr(diffusers, pipeline), where)
    pipe.set_progress_bar_config(disable=True)
    for network in pipe.components.values():
        if isinstance(network, torch.nn.Module):
            network.eval().requires_grad_(False).to(where.device)
    if pipe.vae.dtype == torch.float16 and pipe.vae.config.force_upcast:
        pipe.vae.float()  # it overflows in half precision
    try:
        small = _read(tiny, diffusers.AutoencoderTiny, where)
    except WeightsMissing:
        return pipe, None
    return pipe, TinyPictures(small.eval().requires_grad_(False).to(where.device))


def _read(weights: str, kind: Any, where: Place) -> Any:
    folder: Path = located(weights)
    try:
        return kind.from_pretrained(folder, dtype=getattr(torch, where.dtype), local_files_only=True)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise WeightsMissing(
            f"{weights} in {folder} cannot be read ({' '.join(str(error).split())}): fetch it again with "
            f"{package(weights).command}"
        ) from error
