"""Train the next-scale model: python -m core.training.next_scale --minutes 60

Needs assets/weights/tokenizer.safetensors. Bits of the history are flipped at random and later targets recomputed
(bitwise self-correction); a tenth of the captions is empty, for guidance.
The card in assets/weights/next_scale.md tells time, hardware and what was reached.
"""

import random
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from core.generators.emoji_ar import EmojiAr, load_tokenizer
from core.models.next_scale import SCALES, NextScale, NextScaleConfig, corrupted_history
from core.training.latents import Latents
from core.training.loop import export, options, train
from core.training.sheets import save_sheet

MAX_FLIPS = 0.2  # the share of flipped bits is uniform up to this
WEIGHT = torch.cat([torch.full((side * side,), 1 / side) for side in SCALES])  # per token; the last scale: a third
WEIGHT /= WEIGHT.sum()


def make_loss(tokenizer):
    """The loss closes over the frozen tokenizer."""

    def loss(model: NextScale, data: tuple[Tensor, Tensor], noise: torch.Generator):
        device = next(model.parameters()).device
        latent, indices = (part.to(device) for part in data)
        rate = MAX_FLIPS * torch.rand(len(latent), 1, 1, 1, generator=noise, device=device)
        grids, targets = corrupted_history(tokenizer, latent, rate, noise)
        target = torch.cat([bits.flatten(2).transpose(1, 2) for bits in targets], 1).float()  # [B, L, d]
        logits = model(grids, indices)
        per_token = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((0, 2))  # [L]
        bits = (per_token.detach() / torch.log(torch.tensor(2.0))).split([side * side for side in SCALES])
        logs = {f"bits{k + 1}": part.mean() for k, part in enumerate(bits)}
        return (per_token * WEIGHT.to(device)).sum(), logs

    return loss


@torch.no_grad()
def validate(model: NextScale, tokenizer, seed: int = 99) -> dict:
    """Bits per bit on fresh scenes with a clean history, per scale."""
    data = Latents(1024, seed).batch(random.Random("validation"), 512, drop=0)
    grids, targets = corrupted_history(tokenizer, data[0], torch.zeros(1, 1, 1, 1), torch.Generator())
    logits = model(grids, data[1]).split([side * side for side in SCALES], 1)
    losses = [
        F.binary_cross_entropy_with_logits(part, bits.flatten(2).transpose(1, 2).float())
        for part, bits in zip(logits, targets, strict=True)
    ]
    return {f"validation bits at scale {k + 1}": round(float(x) / 0.6931, 4) for k, x in enumerate(losses)}


def main() -> None:
    opt = options("next_scale", __doc__, minutes=60, batch=16, lr=1e-3, size="XS", scenes=60_000)
    torch.manual_seed(opt.seed)
    tokenizer = load_tokenizer().to(opt.device)
    data = Latents(opt.extra["scenes"], device=opt.device, workers=opt.workers)
    config = NextScaleConfig(size=opt.extra["size"])
    averaged, progress = train(NextScale(config), data.batch, make_loss(tokenizer), replace(opt, workers=0))
    averaged, tokenizer = averaged.cpu(), tokenizer.cpu()
    export(averaged, opt, progress, {"size": config.size}, validate(averaged, tokenizer), ABOUT)
    save_sheet(EmojiAr(averaged, tokenizer), opt.out / f"{opt.name}.png")


ABOUT = "Predicts the tokenizer's bits scale by scale from a prompt: the model behind the generator `emoji-ar`."

if __name__ == "__main__":
    main()
