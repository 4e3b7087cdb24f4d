"""Weights on disk: fp16 safetensors whose header holds the model's configuration, checked by sha256."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from core.search.errors import WeightsMissing

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "weights"


def save_weights(model: nn.Module, path: Path, config: dict) -> str:
    """Save `model` as fp16 with `config` in the header. Returns the file's sha256."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    halved = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    save_file(halved, path, metadata={"config": json.dumps(config)})
    return sha256(path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def weights_file(name: str, inside: str = "") -> Path:
    """The committed weights `name`, whole as its card says; `inside` names the file where they are a folder.

    Raises WeightsMissing with the way to get them.
    """
    path = FOLDER / name / inside if inside else FOLDER / f"{name}.safetensors"
    remedy = f"fetch it with the repository or run python -m core.training.{name}"
    if not path.exists():
        raise WeightsMissing(f"{path} is missing: {remedy}")
    expected = json.loads((FOLDER / f"{name}.json").read_text())["sha256"]
    if (found := sha256(path)) != expected:
        raise WeightsMissing(f"{path} is damaged (sha256 {found[:12]}, its card says {expected[:12]}): {remedy}")
    return path


def load_config(path: Path) -> dict:
    """The configuration that `save_weights` put into the header."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["config"])


def load_weights(model: nn.Module, path: Path) -> nn.Module:
    """Load fp16 weights into `model` as fp32, strictly, and return it ready for inference."""
    tensors = {key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()}
    model.load_state_dict(tensors, strict=True)
    return model.eval().requires_grad_(False)


def to_images(pixels: torch.Tensor):
    """[B, 3, H, W] in about [-1, 1] -> uint8 array [B, H, W, 3]."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


def from_images(images) -> torch.Tensor:
    """uint8 array [B, H, W, 3] -> float [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
