"""What the verifiers of a run answer about a picture, for those that tell: see core/verifiers/base.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from core.search.errors import BadRequest
from core.search.events import RunSpec
from core.search.guide import Guide

Answers = dict[str, list[tuple[str, float]]]  # by verifier: questions and the probability of yes


def who_decides(spec: RunSpec) -> list[str]:
    """The verifiers that guide or judge a run."""
    return list(dict.fromkeys([*Guide.parse(spec.verifier).members, *([spec.judge] if spec.judge else [])]))


def of_images(prompt: str, images: Any, names: Iterable[str], load: Callable[[str], Any]) -> Answers:
    """Of the first of `images`, uint8 [B, H, W, 3]. Who tells nothing, or nothing of such images, is left out."""
    found: Answers = {}
    for name in names:
        told = getattr(load(name), "answers", None)
        try:
            found |= {name: told(prompt, images)[0]} if told else {}
        except BadRequest:  # not its kind of image
            continue
    return found


def of_file(spec: RunSpec, path: Path | None) -> Answers:
    """Of the picture that a run came to, if it did, by the verifiers that led it there."""
    from core.verifiers.registry import load_verifier

    if path is None or not any(hasattr(load_verifier(name), "answers") for name in who_decides(spec)):
        return {}
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return of_images(spec.prompt, np.asarray(image.convert("RGB"))[None], who_decides(spec), load_verifier)


def in_words(found: Answers) -> Iterator[str]:
    """One line for each answer."""
    for name, rows in found.items():
        for text, yes in rows:
            yield f"asked  {text} {'yes' if yes > 0.5 else 'no'} ({name}, {yes:.2f})"
