"""Slim copies of official weights: what inference needs and no more, matrices in bf16, as one safetensors file.

A transformer shrinks to half, an autoencoder to its decoder, T5 to its encoder. The file is written tensor by tensor
from mapped sources, so that a model larger than the main memory can be converted.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from core.models.infinity.checkpoint import dtypes, likeness, read, require_fit, transformer_weights, vae_weights
from core.models.infinity.config import InfinityConfig
from core.models.infinity.transformer import InfinityTransformer
from core.models.infinity.vae import VAES, Vae
from core.search.errors import WeightsMissing

Plan = dict[str, tuple[Tensor, torch.dtype]]  # a mapped tensor and what it becomes
Ordered = list[tuple[str, tuple[Tensor, torch.dtype]]]
NAMES = {torch.float32: "F32", torch.bfloat16: "BF16"}  # in the header


def slim_transformer(config: InfinityConfig, path: Path) -> Plan:
    """The matrices of the blocks in bf16, as they are computed with; the rest fp32. Raises WeightsMissing."""
    with torch.device("meta"):
        model = InfinityTransformer(config)
    tensors = transformer_weights(path)
    require_fit(model, tensors, path, config.name)
    become = dtypes(model, torch.bfloat16)
    return {key: (value, become[key]) for key, value in tensors.items()}


def slim_vae(package: str, path: Path) -> Plan:
    """The decoder. Raises WeightsMissing."""
    with torch.device("meta"):
        vae = Vae(VAES[package], encoder=False)
    decoder = {key: value for key, value in vae_weights(path).items() if not key.startswith("encoder.")}
    require_fit(vae, decoder, path, package)
    return _matrices_halved(decoder)


def slim_text_encoder(package: str, path: Path) -> Plan:
    """The encoder of a T5, its embedding once. Raises WeightsMissing."""
    tensors = read(path)
    if not {"shared.weight", "encoder.final_layer_norm.weight"} <= tensors.keys():
        told = likeness({key: tuple(value.shape) for key, value in tensors.items()})
        raise WeightsMissing(f"{path} does not hold the weights of {package}: it is {told}; get the right files with "
                             f"python -m core.cli download {package}")
    return _matrices_halved({key: value for key, value in tensors.items() if key == "shared.weight"
                             or key.startswith("encoder.") and key != "encoder.embed_tokens.weight"})


def _matrices_halved(tensors: Mapping[str, Tensor]) -> Plan:
    return {key: (value, torch.bfloat16 if value.dim() > 1 else torch.float32) for key, value in tensors.items()}


def plan_bytes(plan: Plan) -> int:
    return sum(value.numel() * dtype.itemsize for value, dtype in plan.values())


def write(path: Path, plan: Plan, progress: Callable[[int, int], None]) -> str:
    """A safetensors file, written through; its sha256. progress: bytes so far, bytes in all."""
    ordered = sorted(plan.items(), key=lambda item: (-item[1][1].itemsize, item[0]))  # keeps every tensor aligned
    header = _header(ordered)
    digest, done, total = hashlib.sha256(), 0, len(header) + plan_bytes(plan)
    with open(path, "wb") as file:
        for data in chain([header], (_bytes(*one) for _, one in ordered)):
            file.write(data)
            digest.update(data)
            done += len(data)
            progress(done, total)
    return digest.hexdigest()


def _bytes(value: Tensor, dtype: torch.dtype) -> memoryview:
    return memoryview(value.to(dtype).contiguous().reshape(-1).view(torch.uint8).numpy())


def _header(ordered: Ordered) -> bytes:
    """Its length in eight bytes, then names, types, shapes and places as json, filled up to eight."""
    told, start = {"__metadata__": {"format": "pt"}}, 0
    for key, (value, dtype) in ordered:
        stop = start + value.numel() * dtype.itemsize
        told[key] = {"dtype": NAMES[dtype], "shape": list(value.shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(told, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
