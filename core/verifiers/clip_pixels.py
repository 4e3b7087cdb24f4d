"""How others' models want an image: ImageReward and PickScore as CLIP its centre, language models all of it."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.search.errors import BadRequest

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def clip_pixels(images: np.ndarray, side: int) -> Tensor:
    """uint8 [B, H, W, 3] of any size -> float [B, 3, side, side], as torchvision's transforms of CLIP make it.

    Raises BadRequest for anything else.
    """
    images = rgb(images)
    squares = torch.from_numpy(np.stack([_square(image, side) for image in images])).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (squares.float() / 255 - mean) / std


def rgb(images: np.ndarray) -> np.ndarray:
    """The images, if they are uint8 [B, H, W, 3]. Raises BadRequest."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
        raise BadRequest(f"got images {images.dtype} {list(images.shape)}; a verifier reads uint8 [B, H, W, 3]")
    return images


def _square(image: np.ndarray, side: int) -> np.ndarray:
    """The short side to `side` by bicubic interpolation, then the centre."""
    height, width = image.shape[:2]
    short = min(height, width)
    if short != side:
        size = (int(side * width / short), int(side * height / short))
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    top, left = (round((length - side) / 2) for length in image.shape[:2])
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def padded(image: np.ndarray, side: int, colour: np.ndarray | int) -> Image.Image:
    """uint8 [H, W, 3] in the middle of a square of one colour, at `side` pixels."""
    height, width = image.shape[:2]
    longest = max(height, width)
    canvas = np.full((longest, longest, 3), colour, np.uint8)
    top, left = (longest - height) // 2, (longest - width) // 2
    canvas[top : top + height, left : left + width] = image
    return Image.fromarray(canvas).resize((side, side), Image.Resampling.BICUBIC)
