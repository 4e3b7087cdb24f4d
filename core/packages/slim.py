"""Slim copies of Infinity's official weights, made once: half the size or less, and quicker to load.

A copy lies in the folder `slim` of the models' folder and is used in place of the official files, which may then be
deleted. Its card holds the sha256 of its file. Nothing heavy is imported before a conversion.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.packages.catalogue import Package, in_bytes, located, models_folder, package
from core.search.errors import BadRequest, DiskFull, WeightsMissing

Progress = Callable[[str, int, int], None]  # what is written or read, bytes so far, bytes in all
TRANSFORMERS = ("infinity-125m", "infinity-2b", "infinity-8b", "infinity-8b-512")
AUTOENCODERS = ("infinity-vae-d16", "infinity-vae-d32reg", "infinity-vae-d56")
TEXT_ENCODERS = ("flan-t5-xl",)
CONVERTIBLE = (*TRANSFORMERS, *AUTOENCODERS, *TEXT_ENCODERS)
FILE, CARD = "model.safetensors", "slim.json"
SEEN = "released.json"
CHUNK = 2**22
SPARE = 100e6  # bytes that a disk keeps free


def folder(name: str) -> Path:
    """Where the slim copy of a package lies, or would."""
    return models_folder() / "slim" / name


def here(name: str) -> bool:
    """Whether there is a whole slim copy; its bytes are not read."""
    card = _card(name)
    path = folder(name) / FILE
    return "bytes" in card and path.is_file() and path.stat().st_size == card["bytes"]


def weights(name: str) -> Path:
    """The file or folder with a package's weights, slim where there is a slim copy.

    Raises WeightsMissing, also for a file that is not the released one, which is found out by reading it once.
    """
    if here(name):
        return folder(name)
    found = package(name)
    source = _official(found)
    if found.sha256 and _stamps(found) != _seen().get(name):
        _require_released(found, lambda *_: None)
        _remember(found)
    return source


def intact(name: str, progress: Progress) -> bool:
    """Whether the slim copy is there and has the bytes that its card says. Reads all of it."""
    return here(name) and _sha256(folder(name) / FILE, progress) == _card(name)["sha256"]


def convert(name: str, progress: Progress) -> dict[str, Any]:
    """Make the slim copy of a downloaded package, unless an intact one is there; its card.

    Appears whole or not at all. Raises WeightsMissing where the official files are missing, damaged or others,
    BadRequest for a package that has no slim form, DiskFull.
    """
    if name not in CONVERTIBLE:
        raise BadRequest(f"{name!r} has no slim form: choose one of {', '.join(CONVERTIBLE)}")
    if not intact(name, progress):
        source = _official(package(name))
        _require_released(package(name), progress)
        _write(name, source, progress)
    return _card(name)


def _official(found: Package) -> Path:
    """The one file of a package, or the folder with its shards."""
    path = located(found.name) / found.needed[-1]
    return path.parent if path.name.endswith(".index.json") else path


def _require_released(found: Package, progress: Progress) -> None:
    """Raise WeightsMissing unless files whose hash is known have it: shapes alone do not tell two VAEs apart."""
    for inside, expected in found.sha256:
        path = found.folder / inside
        if (told := _sha256(path, progress)) != expected:
            raise WeightsMissing(f"{path} is not the released file (sha256 {told[:12]} instead of {expected[:12]}): it "
                                 f"is damaged or another one; delete it and fetch it with {found.command}")


def _stamps(found: Package) -> list[list[Any]]:
    """What changes when a file does: its size and time, beside the hash that it has to have."""
    stats = [((found.folder / path).stat(), digest) for path, digest in found.sha256]
    return [[stat.st_size, stat.st_mtime_ns, digest] for stat, digest in stats]


def _seen() -> dict[str, Any]:
    """Stamps of the released files that were read here before, by package."""
    try:
        return dict(json.loads((models_folder() / SEEN).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _remember(found: Package) -> None:
    path = models_folder() / SEEN
    with suppress(OSError):  # a folder that is only read: they are read again the next time
        part = path.with_name(f"{SEEN}.{os.getpid()}")
        part.write_text(json.dumps(_seen() | {found.name: _stamps(found)}))
        os.replace(part, path)


def _write(name: str, source: Path, progress: Progress) -> None:
    """All files into a folder beside, which then takes the copy's place."""
    from core.models.infinity.slim import plan_bytes, write

    plan, target = _plan(name, source), folder(name)
    _require_room(target, plan_bytes(plan))
    part = target.with_name(f"{name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a conversion that was killed
    try:
        part.mkdir(parents=True)
        digest = write(part / FILE, plan, lambda done, total: progress(name, done, total))
        for path in _settings(name, source):
            shutil.copyfile(path, part / path.name)
        card = {"package": name, "made_from": str(source.relative_to(models_folder())), "sha256": digest,
                "bytes": (part / FILE).stat().st_size, "tensors": len(plan)}
        (part / CARD).write_text(json.dumps(card, indent=1) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _plan(name: str, source: Path):
    from core.models.infinity import slim
    from core.models.infinity.config import CONFIGS

    if name in TRANSFORMERS:
        return slim.slim_transformer(CONFIGS[name], source)
    return slim.slim_vae(name, source) if name in AUTOENCODERS else slim.slim_text_encoder(name, source)


def _settings(name: str, source: Path) -> list[Path]:
    """What lies beside the weights and belongs to them: configuration and tokenizer of a text encoder."""
    if name not in TEXT_ENCODERS:
        return []
    return [path for path in source.iterdir() if path.suffix in (".json", ".model", ".txt")
            and not path.name.endswith(".index.json") and not path.name.startswith("beamscope-")]


def _require_room(target: Path, needed: int) -> None:
    there = next(path for path in target.parents if path.exists())
    free = shutil.disk_usage(there).free
    if needed + SPARE > free:
        raise DiskFull(f"the slim copy takes {in_bytes(needed)} and the disk of {there} has {in_bytes(free)} left: "
                       "free some space or set BEAMSCOPE_MODELS to a folder on a larger disk")


def _card(name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((folder(name) / CARD).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _sha256(path: Path, progress: Progress) -> str:
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with open(path, "rb") as data:
        while chunk := data.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(f"checking {path.name}", done, total)
    return digest.hexdigest()
