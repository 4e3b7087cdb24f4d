"""The emoji artwork the world is drawn with: fetched once for training, recoloured and patterned, kept as an atlas.

Needed only by trainers and by whoever draws new scenes; the product itself ships weights alone.
Artwork: Microsoft Fluent Emoji, 3-D style, MIT licence (assets/NOTICE.md).
"""

import hashlib
import os
import subprocess
import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from core.world.vocabulary import COLOURS, KINDS, PATTERNS, Kind

PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
ATLAS_SIZE = 128
CONTRAST = 0.7  # of light and shade, of what the artist drew
Paint = tuple[float, float, float, float]  # a row of COLOURS
Look = tuple[str, str | None, str | None]  # noun, colour, pattern; the last two None where the kind has but one look


def cache_folder() -> Path:
    """Where fetched artwork is kept: $BEAMSCOPE_CACHE, or ~/.cache/beamscope."""
    return Path(os.environ.get("BEAMSCOPE_CACHE", Path.home() / ".cache" / "beamscope"))


def fetch_package() -> Path:
    """Download the artwork with `npm pack` unless it is cached, and check its sha256. Returns the archive."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "lobehub-fluent-emoji-3d-1.1.0.tgz"
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=folder) as apart:  # others may be fetching it too, or be killed halfway
            subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=apart, check=True, stdout=subprocess.DEVNULL)
            os.replace(next(Path(apart).glob("*.tgz")), archive)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f"{archive} has sha256 {found}, expected {SHA256}: delete it and try again")
    return archive


def looks() -> list[Look]:
    """Every look of the world, in the order of the atlas."""
    found: list[Look] = []
    for kind in KINDS:
        if kind.recolourable:
            found += [(kind.noun, colour, pattern) for colour in COLOURS for pattern in PATTERNS]
        else:
            found.append((kind.noun, None, None))
    return found


@lru_cache(maxsize=1)
def load_atlas() -> dict[Look, np.ndarray]:
    """Every look as uint8 RGBA [128, 128, 4], alpha premultiplied."""
    atlas = {}
    with tarfile.open(fetch_package()) as archive:
        members = {member.name: member for member in archive.getmembers()}
        for kind in KINDS:
            with Image.open(archive.extractfile(members[f"package/assets/{kind.sprite}.webp"])) as image:
                pixels = _fit(image.convert("RGBA"))
            atlas |= _all_looks(kind, pixels)
    return atlas


def _all_looks(kind: Kind, pixels: np.ndarray) -> dict[Look, np.ndarray]:
    if not kind.recolourable:
        return {(kind.noun, None, None): _finish(pixels)}
    shade, saturation, mask = _reading(kind, pixels)
    found = {}
    for colour, paint in COLOURS.items():
        ground, marks = (recolour(shade, saturation, one) for one in (paint, mark_paint(colour)))
        for pattern in PATTERNS:
            tinted = ground + pattern_mask(pattern, ATLAS_SIZE)[..., None] * (marks - ground)
            rgb = pixels[..., :3] + mask[..., None] * (tinted - pixels[..., :3])
            found[kind.noun, colour, pattern] = _finish(np.concatenate([rgb, pixels[..., 3:]], -1))
    return found


def _fit(picture: Image.Image) -> np.ndarray:
    """Crop to what is seen, squared, at the atlas's size: float32 [128, 128, 4], alpha not premultiplied."""
    box = picture.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox()
    side = max(box[2] - box[0], box[3] - box[1])
    left, top = (box[0] + box[2] - side) // 2, (box[1] + box[3] - side) // 2
    pixels = np.asarray(picture.crop((left, top, left + side, top + side)), np.float32) / 255
    pixels = resize(np.concatenate([pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]], -1), ATLAS_SIZE)
    return np.concatenate([pixels[..., :3] / np.maximum(pixels[..., 3:], 1e-3), pixels[..., 3:]], -1).clip(0, 1)


def _finish(pixels: np.ndarray) -> np.ndarray:
    premultiplied = np.concatenate([pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]], -1)
    return (premultiplied.clip(0, 1) * 255 + 0.5).astype(np.uint8)


@lru_cache(maxsize=256)
def shrinking(source: int, side: int) -> np.ndarray:
    """The matrix [side, source] that resamples a line of pixels (Hamming window, no ringing)."""
    eye = Image.fromarray(np.eye(source, dtype=np.float32))
    return np.asarray(eye.resize((source, side), Image.Resampling.HAMMING)).copy()


def resize(pixels: np.ndarray, side: int) -> np.ndarray:
    """Square pixels [s, s, C] at another size [side, side, C]."""
    matrix = shrinking(len(pixels), side)
    return np.einsum("yv,vuc,xu->yxc", matrix, pixels, matrix, optimize=True).astype(np.float32)


@lru_cache(maxsize=8192)
def sprite(noun: str, colour: str | None, pattern: str | None, size: int) -> np.ndarray:
    """One sprite at `size` px, RGBA uint8 [size, size, 4], alpha premultiplied."""
    return (resize(load_atlas()[noun, colour, pattern].astype(np.float32), size) + 0.5).clip(0, 255).astype(np.uint8)


# --- colours and patterns ----------------------------------------------------------------------------------------


def _reading(kind: Kind, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every pixel [s, s]: its light against the middle tone, its saturation, how much of it takes a new colour."""
    hue, saturation, value = _to_hsv(pixels[..., :3])
    mask = np.clip((saturation - 0.15) / 0.15, 0, 1)
    if kind.pale:
        mask = np.clip((0.32 - saturation) / 0.1, 0, 1) * np.clip((value - 0.5) / 0.1, 0, 1)
    if kind.keeps:
        low, high = kind.keeps
        mask = mask * np.clip(np.maximum(low - hue, hue - high) / 0.03, 0, 1)
    light = pixels[..., :3] @ np.array([0.35, 0.5, 0.15], np.float32)
    return light / np.median(light[(mask > 0.5) & (pixels[..., 3] > 0.5)]), saturation, mask


def _to_hsv(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    top, low = rgb.max(-1), rgb.min(-1)
    spread = np.maximum(top - low, 1e-6)
    r, g, b = (rgb[..., channel] for channel in range(3))
    hue = np.where(top == r, (g - b) / spread % 6, np.where(top == g, (b - r) / spread + 2, (r - g) / spread + 4)) / 6
    return hue, (top - low) / np.maximum(top, 1e-6), top


def recolour(shade: np.ndarray, saturation: np.ndarray, paint: Paint) -> np.ndarray:
    """RGB [s, s, 3] of a colour under the light of the sprite; what would be brighter than white turns pale."""
    hue, least, most, level = paint
    value = level * np.maximum(shade, 0.02) ** CONTRAST
    saturation = saturation.clip(least, most) / np.maximum(value, 1)
    wave = (hue * 6 + np.array([5, 3, 1], np.float32)) % 6
    wave = np.clip(np.minimum(wave, 4 - wave), 0, 1)
    return value.clip(0, 1)[..., None] * (1 - saturation[..., None] * wave)


def mark_paint(colour: str) -> Paint:
    """What the marks of a pattern are painted with: a paler tone, on pale colours a darker one."""
    hue, least, most, level = COLOURS[colour]
    if colour in ("yellow", "pink", "white"):
        return {"yellow": 0.095}.get(colour, hue), least, most, 0.58 * level
    return (hue, least, most, 0.66) if colour == "black" else (hue, 0.36, 0.36, 1.0)


@lru_cache(maxsize=8)
def pattern_mask(pattern: str, side: int) -> np.ndarray:
    """Where a pattern has its marks, [side, side] in [0, 1], anti-aliased."""
    fine = 4
    at = (np.arange(side * fine, dtype=np.float32) + 0.5) / (side * fine)
    x, y = at[None], at[:, None]
    if pattern == "plain":
        marks = np.zeros((side * fine, side * fine), bool)
    elif pattern == "striped":
        marks = ((y - x) / 0.30) % 1 < 0.5
    elif pattern == "dotted":
        row = np.floor(y / 0.2)
        u, v = (x / 0.24 + 0.5 * (row % 2)) % 1 - 0.5, (y / 0.2) % 1 - 0.5
        marks = (u * 0.24) ** 2 + (v * 0.2) ** 2 < 0.072**2
    else:
        marks = (np.floor(x * 6) + np.floor(y * 6)) % 2 < 1
    return marks.astype(np.float32).reshape(side, fine, side, fine).mean((1, 3))
