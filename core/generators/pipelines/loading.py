"""From a downloaded package to a generator. Nothing of diffusers is imported before this is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from core.generators.pipelines.diffusion import Diffusion
from core.generators.pipelines.family import Family, Sampling, networks
from core.generators.pipelines.lodging import Lodging, lodged
from core.generators.pipelines.pictures import FullPictures, Pictures, TinyPictures
from core.kept import shared
from core.packages.catalogue import located, package
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
    found = _networks(weights, located(weights), family, where)
    pipe, batch = found.pipe, BATCH.get(where.device, BATCH_ELSEWHERE)
    full = FullPictures(pipe.vae)
    made = Diffusion(name, family(pipe, sampling), full, found.quick, found.lodging, where.device, batch)
    made.shares = found  # with its twin of the other sampler, which finds them as long as this one is there
    return made


def require_libraries(name: str) -> None:
    """Raises WeightsMissing with the command that installs what is lacking."""
    lacking = [library for library in LIBRARIES if find_spec(library) is None]
    if lacking:
        wanted = " ".join(f"'{LIBRARIES[library]}'" for library in lacking)
        raise WeightsMissing(f"{name} needs {' and '.join(lacking)}, not installed here: run pip install {wanted}")


@dataclass(frozen=True, eq=False)
class Networks:
    """quick: the small decoder for previews, None where it is not downloaded; lodging: where networks are."""

    pipe: Any
    quick: Pictures | None
    lodging: Lodging


@shared
def _networks(weights: str, folder: Path, family: type[Family], where: Place) -> Networks:
    import diffusers

    pipe = _read(weights, folder, getattr(diffusers, family.pipeline), where)
    encoders, network = networks(family, pipe)
    for module in (*encoders, network, pipe.vae):
        module.eval().requires_grad_(False)
    if pipe.vae.dtype == torch.float16 and pipe.vae.config.force_upcast:
        pipe.vae.float()  # it overflows in half precision
    pipe.vae.to(where.device)
    return Networks(pipe, _quick(family.tiny, where), lodged((encoders, (network,)), where.device))


def _quick(tiny: str, where: Place) -> Pictures | None:
    from diffusers import AutoencoderTiny

    try:
        small = _read(tiny, located(tiny), AutoencoderTiny, where)
    except WeightsMissing:
        return None
    return TinyPictures(small.eval().requires_grad_(False).to(where.device))


def _read(weights: str, folder: Path, kind: Any, where: Place) -> Any:
    try:
        return kind.from_pretrained(folder, dtype=getattr(torch, where.dtype), local_files_only=True)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise WeightsMissing(
            f"{weights} in {folder} cannot be read ({' '.join(str(error).split())}): fetch it again with "
            f"{package(weights).command}"
        ) from error
