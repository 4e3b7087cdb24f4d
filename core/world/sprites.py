"""The emoji artwork the world is drawn with: fetched once for training, recoloured, kept as an atlas.

Needed only by trainers and by whoever draws new scenes; the product itself ships weights alone.
Artwork: Microsoft Fluent Emoji, 3-D style, MIT licence (assets/NOTICE.md).
"""

import hashlib
import os
import subprocess
import tarfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from core.world.vocabulary import COLOURS, KINDS

PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
ATLAS_SIZE = 128


def cache_folder() -> Path:
    """Where fetched artwork is kept: $BEAMSCOPE_CACHE, or ~/.cache/beamscope."""
    return Path(os.environ.get("BEAMSCOPE_CACHE", Path.home() / ".cache" / "beamscope"))


def fetch_package() -> Path:
    """Download the artwork with `npm pack` unless it is cached, and check its sha256. Returns the archive."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "lobehub-fluent-emoji-3d-1.1.0.tgz"
    if not archive.exists():
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f"{archive} has sha256 {found}, expected {SHA256}: delete it and try again")
    return archive


@lru_cache(maxsize=1)
def load_atlas() -> dict[tuple[str, str | None], np.ndarray]:
    """Every (noun, colour) sprite as float32 RGBA [128, 128, 4] in [0, 1], alpha premultiplied."""
    atlas = {}
    with tarfile.open(fetch_package()) as archive:
        for kind in KINDS:
            with Image.open(archive.extractfile(f"package/assets/{kind.sprite}.webp")) as image:
                picture = image.convert("RGBA")
            for colour in COLOURS if kind.recolourable else (None,):
                atlas[kind.noun, colour] = _prepare(picture, colour)
    return atlas


def _prepare(picture: Image.Image, colour: str | None) -> np.ndarray:
    box = picture.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox()
    side = max(box[2] - box[0], box[3] - box[1])
    left, top = (box[0] + box[2] - side) // 2, (box[1] + box[3] - side) // 2
    picture = picture.crop((left, top, left + side, top + side))
    pixels = np.asarray(recolour(picture, colour) if colour else picture, np.float32) / 255
    pixels = np.concatenate([pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]], -1)  # [s, s, 4]
    return _resize(pixels, ATLAS_SIZE)


def _resize(pixels: np.ndarray, side: int) -> np.ndarray:
    planes = [Image.fromarray(pixels[..., c]).resize((side, side), Image.Resampling.BOX) for c in range(4)]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def recolour(picture: Image.Image, colour: str) -> Image.Image:
    """Turn the saturated parts of a sprite to a colour of the world, keeping their light and shade."""
    hue, least_saturation, gain = COLOURS[colour]
    h, s, v = (np.asarray(band, np.float32) / 255 for band in picture.convert("RGB").convert("HSV").split())
    mask = np.clip((s - 0.15) / 0.15, 0, 1)  # soft edge, so that greys stay grey
    saturated = np.full_like(s, least_saturation) if colour == "pink" else np.maximum(s, least_saturation)
    brighter = np.clip(v * gain, 0, 1)
    hsv = np.stack([np.full_like(h, hue), saturated, brighter], -1)
    tinted = Image.fromarray((hsv * 255).astype(np.uint8), "HSV").convert("RGB")
    mixed = Image.composite(tinted, picture.convert("RGB"), Image.fromarray((mask * 255).astype(np.uint8)))
    mixed.putalpha(picture.getchannel("A"))
    return mixed


@lru_cache(maxsize=8192)
def sprite(noun: str, colour: str | None, size: int) -> np.ndarray:
    """One sprite at `size` px, RGBA [size, size, 4] float32, alpha premultiplied."""
    return _resize(load_atlas()[noun, colour], size)
