"""Prompts -> features of the T5 encoder that Infinity was trained with, kept on disk by prompt.

The encoder is as large as the model it serves and needed once a prompt: it is loaded when a prompt is new, and leaves
the device as soon as that is read. Prompts are encoded one by one at their own length: padding would change nothing
but the time, and a prompt's features never depend on its neighbours.

Letters: L tokens of a prompt, `</s>` included; D width of the features.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.search.errors import WeightsMissing

MOST_TOKENS = 512  # of a prompt; what is longer is cut, as in training
CACHE_BYTES = 256 * 2**20  # on disk: some thousand prompts


class TextEncoder:
    """flan-t5-xl, or another T5, from the folder of its files; nothing is read before the first new prompt."""

    def __init__(
        self, folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32, cache: Path | None = None,
        cache_bytes: int = CACHE_BYTES,
    ):
        """cache: the folder that keeps features, at most `cache_bytes` of them; None: nothing is kept."""
        self.folder, self.device, self.dtype = folder, device, dtype
        self.cache = FeatureCache(cache, identity(folder, dtype), cache_bytes) if cache else None
        self._parts: tuple[Any, Any] | None = None  # tokenizer and model, in main memory between prompts
        self._one_at_a_time = Lock()

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """Features of each prompt, fp32 [L, D] in main memory. Raises WeightsMissing."""
        found = {prompt: self.cache.get(prompt) if self.cache else None for prompt in prompts}
        if new := [prompt for prompt, features in found.items() if features is None]:
            with self._one_at_a_time:
                found |= self._computed(new)
        return [found[prompt].float() for prompt in prompts]

    def _computed(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        tokenizer, model = self._parts or _load(self.folder, self.dtype)
        model.to(self.device)
        try:
            features = {prompt: self._read(tokenizer, model, prompt) for prompt in prompts}
        finally:
            self._leave_the_device(tokenizer, model)
        for prompt, rows in features.items() if self.cache else ():
            self.cache.put(prompt, rows)
        return features

    def _read(self, tokenizer, model, prompt: str) -> Tensor:
        tokens = tokenizer(prompt, truncation=True, max_length=MOST_TOKENS, return_tensors="pt").input_ids  # [1, L]
        return model(input_ids=tokens.to(self.device)).last_hidden_state[0].cpu()

    def _leave_the_device(self, tokenizer, model) -> None:
        """To main memory; where that is the device, away altogether."""
        if torch.device(self.device).type == "cpu":
            self._parts = None
            return
        self._parts = tokenizer, model.to("cpu")
        torch.get_device_module(self.device).empty_cache()


def _load(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Tokenizer and encoder, in main memory. Raises WeightsMissing."""
    from transformers import AutoTokenizer, T5EncoderModel  # seconds, and only for a new prompt

    remedy = "download it again with python -m core.cli download flan-t5-xl"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, told = T5EncoderModel.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsMissing(f"{folder} holds no T5 encoder that can be read ({reason[:160]}): {remedy}") from error
    if lacking := sorted(told["missing_keys"]):  # the library would go on with random numbers there
        raise WeightsMissing(f"{folder} holds no whole T5 encoder: {lacking[0]} and {len(lacking) - 1} more tensors "
                             f"are missing; {remedy}")
    return tokenizer, model.eval().requires_grad_(False)


def identity(folder: Path, dtype: torch.dtype) -> str:
    """What features depend on besides the prompt: the files, by name, size and time, and the numbers computed in."""
    files = sorted(path for path in folder.glob("*") if path.is_file())
    told = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return sha256(repr((told, str(dtype))).encode()).hexdigest()


class FeatureCache:
    """Features on disk, a file a prompt; the longest unread make room. Only a saving: what fails is computed anew."""

    def __init__(self, folder: Path, model: str, most_bytes: int = CACHE_BYTES):
        self.folder, self.model, self.most_bytes = folder, model, most_bytes

    def get(self, prompt: str) -> Tensor | None:
        path = self._path(prompt)
        try:
            features = load_file(path)["features"]
            _touch(path)
        except (OSError, SafetensorError, KeyError):
            return None
        return features

    def put(self, prompt: str, features: Tensor) -> None:
        path = self._path(prompt)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file({"features": features.contiguous()}, part)
            _touch(part)
            os.replace(part, path)
            self._make_room()
        except (OSError, SafetensorError):  # a full disk
            with suppress(OSError):
                part.unlink()

    def _path(self, prompt: str) -> Path:
        name = sha256(f"{self.model} {prompt}".encode()).hexdigest()
        return self.folder / f"{name}.safetensors"

    def _make_room(self) -> None:
        files = sorted(self.folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        held = 0
        for path in files:  # the one read last first
            held += path.stat().st_size
            if held > self.most_bytes:
                path.unlink(missing_ok=True)


def _touch(path: Path) -> None:
    """Read or written now; finer than the file system's own clock."""
    now = time.time_ns()
    os.utime(path, ns=(now, now))
