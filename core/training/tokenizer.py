"""Train the tokenizer: python -m core.training.tokenizer --minutes 25

Reconstruction only: L1, squared and gradient terms, object pixels weighted over the flat background. A quarter of
the images decode from fewer scales (nested dropout), so that every running sum decodes to a readable preview.
With --decoder 1 (and --initial) only the decoder learns on: images get clearer while the bits, and with them
everything that was trained on these, stay what they are.
The card in assets/weights/tokenizer.md tells time, hardware and what was reached.
"""

import random

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.models.tokenizer import SCALES, Tokenizer, TokenizerConfig
from core.models.weights import to_images
from core.training.loop import Options, export, options, train
from core.world.compose import atlas_on, compose
from core.world.scene import Scene, sample_scene


def batch(rng: random.Random, size: int) -> list[Scene]:
    return [sample_scene(rng) for _ in range(size)]


def loss(model: Tokenizer, scenes: list[Scene], noise: torch.Generator) -> tuple[Tensor, dict]:
    """Weighted reconstruction error of B scenes after a random number of scales, plus bit balance."""
    images = compose(scenes, atlas_on(noise.device.type))  # [B, 3, H, H], channels last
    model.encoder.train(next(model.encoder.parameters()).requires_grad)  # the norms of one that learns no more stay
    latent = model.encode(images)
    _, sums, balance = model.quantise(latent)
    stop = torch.randint(0, 4 * len(SCALES), (len(images),), generator=noise, device=images.device)
    stop = stop.clamp(max=len(SCALES) - 1)  # about 5 of 24 stop early, the others use every scale
    chosen = torch.stack(sums)[stop, torch.arange(len(images), device=images.device)]
    decoded = model.decode(chosen)
    weight = 1 + 4 * ((images - images[:, :, :1, :1]).abs().amax(1, keepdim=True) > 0.03)
    error = decoded - images
    pixel = (weight * (error.abs() + 2 * error.square())).mean()
    gradient = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    full = (stop == len(SCALES) - 1).float()
    squared = (error.detach().square().mean((1, 2, 3)) * full).sum() / full.sum().clamp(min=1)
    return pixel + 1.5 * gradient + 0.2 * balance, {"mse": squared, "balance": balance.detach()}


def decoder_alone(model: Tokenizer) -> None:
    """From now on only the decoder learns."""
    model.requires_grad_(False).decoder.requires_grad_(True)


@torch.no_grad()
def measure(model: Tokenizer, count: int = 512) -> tuple[dict, np.ndarray]:
    """PSNR per scale and bit means on fresh scenes; and a sheet: originals, then decodes after every scale."""
    device = next(model.parameters()).device.type
    images = compose(batch(random.Random("tokenizer validation"), count), atlas_on(device))
    psnr, means, rows = torch.zeros(len(SCALES), device=device), [[] for _ in SCALES], [to_images(images[:12])]
    for start in range(0, count, 64):
        part = images[start : start + 64]
        bits, sums, _ = model.quantise(model.encode(part))
        for k, total in enumerate(sums):
            decoded = model.decode(total).clamp(-1, 1)
            psnr[k] += (10 * torch.log10(4 / (decoded - part).square().mean((1, 2, 3)))).sum()
            means[k].append(bits[k].float().mean((0, 2, 3)))
            if start == 0:
                rows.append(to_images(decoded[:12]))
    metrics = {f"PSNR after scale {k + 1} (dB)": round(float(p / count), 2) for k, p in enumerate(psnr)}
    for k, mean in enumerate(means):
        mean = torch.stack(mean).mean(0)
        metrics[f"bit means at scale {k + 1}"] = f"{mean.min():.2f} to {mean.max():.2f}"
    sheet = np.concatenate([np.concatenate(list(row), 1) for row in rows])
    return metrics, sheet


def main() -> None:
    opt: Options = options("tokenizer", __doc__, minutes=25, batch=48, lr=2e-3, decoder=0)
    config = TokenizerConfig()
    torch.manual_seed(opt.seed)
    model = Tokenizer(config).to(memory_format=torch.channels_last)
    if opt.extra["decoder"]:
        decoder_alone(model)
    averaged, progress = train(model, batch, loss, opt, decay=1e-4, parts=lambda model: (model.encoder, model.decoder))
    metrics, sheet = measure(averaged)
    export(averaged, opt, progress, {"widths": config.widths, "bits": config.bits}, metrics, ABOUT)
    Image.fromarray(sheet).save(opt.out / f"{opt.name}.png")


ABOUT = (
    "Turns a 128x128 image into signs on six grids (1, 2, 3, 4, 6 and 8 tokens a side, 32 bits a token, 130 tokens) "
    "and decodes any running sum of them. Shared by the next-scale model and the flow model."
)

if __name__ == "__main__":
    main()
