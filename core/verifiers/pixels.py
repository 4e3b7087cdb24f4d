"""What every embedded verifier asks of the images it is given."""

import numpy as np
from torch import Tensor

from core.models.weights import from_images
from core.search.errors import BadRequest

SIDE = 128  # px


def pixels(images: np.ndarray) -> Tensor:
    """uint8 [B, 128, 128, 3] -> float [B, 3, 128, 128] in [-1, 1]. Raises BadRequest for anything else."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (SIDE, SIDE, 3):
        raise BadRequest(
            f"got images {images.dtype} {list(images.shape)}; the embedded verifiers read uint8 "
            f"[B, {SIDE}, {SIDE}, 3]: resize them first"
        )
    return from_images(np.array(images, order="C"))  # a copy: torch wants a writable array
