"""A sheet to look at: python -m core.evaluation.contact_sheet

A row per prompt: four single samples, then the choice of beam search by rollouts, then the best of the flow model at
the beam's total FLOPs. Writes assets/pictures/contact_sheet.jpg; the prompts are written beside the rows.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from core.compare import rival
from core.evaluation.prompts import dev_prompts
from core.request import prepare
from core.search.events import RunSpec, Scored
from core.search.search import Search

COLUMNS = ("sample 1", "sample 2", "sample 3", "sample 4", "beam search", "diffusion, same FLOPs")
SIDE, MARGIN, TOP = 128, 330, 24


def finished_images(spec: RunSpec) -> tuple[Search, dict[int, np.ndarray]]:
    """Run a search and return it with the finished image of every node that has one."""
    prepared = prepare(spec)
    search, images = Search(prepared.generator, prepared.verifiers, prepared.spec, display=False), {}
    for event in search.run():
        if isinstance(event, Scored) and event.finished:
            images |= event.images
    return search, images


def row(prompt: str, seed: int) -> list[np.ndarray]:
    """Four samples, the beam's choice, the flow model's choice at equal FLOPs; uint8 [128, 128, 3] each."""
    single = RunSpec(prompt, "emoji-ar", "random_search", {"n": 4}, "image_reward", (), seed)
    beam = RunSpec(prompt, "emoji-ar", "beam_search", {"look": "rollout"}, "image_reward", (), seed)
    _, samples = finished_images(single)
    search, grown = finished_images(beam)
    flow, drawn = finished_images(rival(beam, search.tree.spent.flops, "emoji-flow"))
    return [*samples.values(), grown[search.tree.best().id], drawn[flow.tree.best().id]]


def sheet(prompts: list[str], seed: int) -> Image.Image:
    canvas = Image.new("RGB", (MARGIN + len(COLUMNS) * (SIDE + 4), TOP + len(prompts) * (SIDE + 4)), "white")
    draw = ImageDraw.Draw(canvas)
    for c, title in enumerate(COLUMNS):
        draw.text((MARGIN + c * (SIDE + 4) + 2, 6), title, fill="black")
    for r, prompt in enumerate(prompts):
        top = TOP + r * (SIDE + 4)
        draw.text((8, top + SIDE // 2 - 6), prompt, fill="black")
        for c, image in enumerate(row(prompt, seed)):
            canvas.paste(Image.fromarray(image), (MARGIN + c * (SIDE + 4), top))
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("assets/pictures/contact_sheet.jpg"))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet(dev_prompts(args.prompts, seed=1), args.seed).save(args.out, quality=92)


if __name__ == "__main__":
    main()
