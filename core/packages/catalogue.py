"""The weights of others that can be fetched: which files, how large, under which licence, and where they lie here.

Sizes, hashes and licences are those of the model hub's pages. What is not known of a package is None: the hub's own
list, read before anything is fetched, tells it then. Nothing here needs a network.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from core.search.errors import BadRequest, WeightsMissing

RECEIPT = "beamscope-files.json"   # what a download consists of, written before its first byte
GB = 1e9


@dataclass(frozen=True)
class Package:
    """Files of one repository on the hub; in `located(name)` they have the paths that they have there."""

    name: str
    repository: str
    files: tuple[str, ...]          # patterns of paths; `*` stands for anything but a slash
    needed: tuple[str, ...]         # paths that have to be there to call it complete
    bytes: int | None               # of all files, about; None where unknown
    licence: str
    terms: str                      # in a sentence
    commercial: bool | None = True  # may be used commercially; None: with conditions, see the terms
    gated: bool = False             # the hub asks for an account that has agreed to the terms
    revision: str = "main"
    sha256: tuple[tuple[str, str], ...] = ()          # path, hash; where known
    also: tuple[tuple[str, tuple[str, ...]], ...] = ()   # other repositories, and their files that lie beside

    @property
    def folder(self) -> Path:
        return models_folder() / self.name

    @property
    def command(self) -> str:
        return f"python -m core.cli download {self.name}"

    @property
    def size(self) -> str:
        return "size unknown" if self.bytes is None else f"about {in_bytes(self.bytes)}"

    @property
    def licence_line(self) -> str:
        """Name and terms, and what they forbid, before all else that matters."""
        uses = {True: "commercial use allowed", False: "no commercial use", None: "commercial use under conditions"}
        gate = "; an account that agreed to its terms is needed" if self.gated else ""
        return f"{self.licence} ({uses[self.commercial]}{gate})"

    @property
    def sources(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Repositories, each with the patterns of its files."""
        return (self.repository, self.files), *self.also


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a file of a repository is one of those; copies in half precision never are."""
    return ".fp16" not in path and any(
        path.count("/") == pattern.count("/") and fnmatch(path, pattern) for pattern in patterns)


def in_bytes(amount: float) -> str:
    """1.56e9 -> "1.56 GB"; below 0.1 GB in MB."""
    return f"{amount / 1e6:.3g} MB" if amount < GB / 10 else f"{amount / GB:.3g} GB"


def models_folder() -> Path:
    """Where packages lie: BEAMSCOPE_MODELS, or in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get("BEAMSCOPE_MODELS") or cache / "beamscope" / "models").expanduser()


MIT, APACHE = "MIT", "Apache-2.0"
FREE = "free to use, change and pass on; keep the notice"
INFINITY = "FoundationVision/Infinity"
PIPELINE = ("model_index.json", "scheduler/*", "tokenizer*/*", "text_encoder*/*.json", "text_encoder*/*.safetensors",
            "transformer/*.json", "transformer/*.safetensors", "vae/*.json", "vae/*.safetensors")
TINY = (("config.json", "diffusion_pytorch_model.safetensors"),) * 2
CHAT = ("*.json", "*.txt", "*.jinja", "*.safetensors")


def _infinity(name: str, file: str, size: int | None, sha256: str | None = None) -> Package:
    hashes = ((file, sha256),) if sha256 else ()
    return Package(name, INFINITY, (file,), (file,), size, MIT, FREE, sha256=hashes)


def _sharded(name: str, folder: str) -> Package:
    index = f"{folder}/model.safetensors.index.json"
    return Package(name, INFINITY, (f"{folder}/*",), (index,), 33_500_000_000, MIT, FREE)


def _tiny_decoder(name: str, repository: str) -> Package:
    return Package(name, repository, *TINY, 10_000_000, MIT, FREE)


# Sizes of Infinity, flan-t5-xl and ImageReward are the hub's listing; those of pipelines and of the verifiers beneath
# them follow from parameter counts and dtypes and were not checked against it.
PACKAGES: dict[str, Package] = {package.name: package for package in (
    _infinity("infinity-125m", "infinity_125M_256x256.pth", 501_000_000),
    _infinity("infinity-2b", "infinity_2b_reg.pth", 8_820_000_000,
              "d5958b37e7ecb914230cd2b8c28aae0ec108ce08b315720bc3dc52596cc5b3a7"),
    _sharded("infinity-8b", "infinity_8b_weights"),
    _sharded("infinity-8b-512", "infinity_8b_512x512_weights"),
    _infinity("infinity-vae-d16", "infinity_vae_d16.pth", 1_560_000_000,
              "a8b866165f7efbc0ae15667c618bc78c6f37b5e71078a948b78d69ff2348d8a1"),
    _infinity("infinity-vae-d32reg", "infinity_vae_d32reg.pth", 1_560_000_000,
              "7a37fa3ea1b2a1ebd23de61d91a5e68202825e5a67edaef4b7c55f5fd5b9cf26"),
    _infinity("infinity-vae-d56", "infinity_vae_d56_f8_14_patchify.pth", 1_200_000_000),   # by subtraction
    Package("flan-t5-xl", "google/flan-t5-xl",
            ("config.json", "*token*.json", "spiece.model", "model*.safetensors", "model.safetensors.index.json"),
            ("config.json", "tokenizer.json", "model.safetensors.index.json"), 11_400_000_000, APACHE, FREE),
    Package("flux-schnell", "black-forest-labs/FLUX.1-schnell", PIPELINE, ("model_index.json",), 33_700_000_000,
            APACHE, FREE, gated=True),   # gated since 2025, unchecked
    Package("flux-dev", "black-forest-labs/FLUX.1-dev", PIPELINE, ("model_index.json",), 33_700_000_000,
            "FLUX.1 [dev] Non-Commercial", "research and personal use only; a commercial licence is sold apart",
            commercial=False, gated=True),
    Package("sdxl", "stabilityai/stable-diffusion-xl-base-1.0", (*PIPELINE, "unet/*.json", "unet/*.safetensors"),
            ("model_index.json",), 13_900_000_000, "CreativeML OpenRAIL++-M",
            "free to use but for a list of harmful uses; the list goes with every copy"),
    Package("sd35-medium", "stabilityai/stable-diffusion-3.5-medium", PIPELINE, ("model_index.json",),
            16_300_000_000, "Stability AI Community", "free below 1 million US dollars of yearly revenue",
            commercial=None, gated=True),
    Package("z-image-turbo", "Tongyi-MAI/Z-Image-Turbo", PIPELINE, ("model_index.json",), 32_900_000_000, APACHE,
            FREE),
    _tiny_decoder("taef1", "madebyollin/taef1"),
    _tiny_decoder("taesdxl", "madebyollin/taesdxl"),
    _tiny_decoder("taesd3", "madebyollin/taesd3"),
    Package("image-reward", "THUDM/ImageReward", ("ImageReward.pt",), ("ImageReward.pt", "vocab.txt"), 1_790_000_000,
            APACHE, FREE,
            also=(("google-bert/bert-base-uncased", ("vocab.txt",)),)),
    Package("clip-vit-l-14", "timm/vit_large_patch14_clip_224.openai",
            ("open_clip_config.json", "open_clip_model.safetensors", "*token*.json", "vocab.json", "merges.txt"),
            ("open_clip_config.json", "open_clip_model.safetensors"), 1_710_000_000, APACHE,
            "free to use; its makers advise against use on people without testing"),
    Package("laion-aesthetic", "camenduru/improved-aesthetic-predictor", ("sac+logos+ava1-l14-linearMSE.pth",),
            ("sac+logos+ava1-l14-linearMSE.pth",), 3_710_000, APACHE, FREE,
            sha256=(("sac+logos+ava1-l14-linearMSE.pth",   # as public code pins it
                     "21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0"),)),
    Package("pickscore", "yuvalkirstain/PickScore_v1", ("*.json", "*.txt", "model.safetensors"),
            ("config.json", "model.safetensors"), 3_940_000_000, "MIT (of its code; the model's page names none)",
            FREE, commercial=None),
    Package("llava-onevision-0.5b", "llava-hf/llava-onevision-qwen2-0.5b-ov-hf", CHAT, ("config.json",),
            1_790_000_000, APACHE, FREE),
    Package("llava-onevision-7b", "llava-hf/llava-onevision-qwen2-7b-ov-hf", CHAT, ("config.json",),
            16_100_000_000, APACHE, FREE),
)}


def package(name: str) -> Package:
    """Raises BadRequest with the names that there are."""
    if name not in PACKAGES:
        raise BadRequest(f"unknown package {name!r}: choose one of {', '.join(PACKAGES)}")
    return PACKAGES[name]


def located(name: str) -> Path:
    """The folder with a package's files under their repository names.

    Raises WeightsMissing with size, licence and the command that fetches it, BadRequest for an unknown name.
    """
    found = package(name)
    if lacking := missing(found):
        less = "" if len(lacking) == 1 else f" and {len(lacking) - 1} more"
        raise WeightsMissing(
            f"{name} is not here ({found.folder / lacking[0]}{less} missing): {found.size}, licence "
            f"{found.licence_line}; fetch it with {found.command}"
        )
    return found.folder


def missing(found: Package) -> list[str]:
    """Paths of a package that are not there; files are not read, so a wrong one is found when it is loaded."""
    paths = dict.fromkeys([*found.needed, *receipt(found.folder)])
    indices = [path for path in paths if path.endswith(".index.json")]
    shards = [shard for index in indices for shard in _shards(found.folder, index)]
    return [path for path in dict.fromkeys([*paths, *shards]) if not (found.folder / path).is_file()]


def receipt(folder: Path) -> dict[str, dict[str, Any]]:
    """What a download consists of: bytes, hash and source by path. Empty where none was begun."""
    try:
        return dict(json.loads((folder / RECEIPT).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _shards(folder: Path, index: str) -> list[str]:
    """The files that a sharded checkpoint's index names, beside it."""
    try:
        names = set(json.loads((folder / index).read_text())["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return []
    return sorted(str(Path(index).parent / name) for name in names)
