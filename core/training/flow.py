"""Train the flow model: python -m core.training.flow --minutes 60

Needs assets/weights/tokenizer.safetensors. Flow matching on the tokenizer's dequantised latent, x0-prediction with
the velocity's loss, shifted logit-normal times; a tenth of the captions is empty, for guidance.
The card in assets/weights/flow.md tells time, hardware and what was reached.
"""

import random
from dataclasses import replace

import torch
from torch import Tensor

from core.generators.emoji_ar import load_tokenizer
from core.generators.emoji_flow import EmojiFlow, Sampling
from core.models.flow import Flow, FlowConfig
from core.training.latents import Latents
from core.training.loop import export, options, train
from core.training.sheets import save_sheet

SHIFT = 4.0  # 2048 redundant channels: what the prompt decides is decided close to t = 1
LEAST_WEIGHTED = 0.2  # below this time the velocity's weight 1 / t^2 would drown everything else


def shifted(t: Tensor) -> Tensor:
    """Move times in [0, 1] towards noise (Esser et al. 2024, timestep shift)."""
    return SHIFT * t / (1 + (SHIFT - 1) * t)


def dequantised(tokenizer, latent: Tensor) -> Tensor:
    """The running sum of all scales [B, d, h, h]: what the decoder was trained on."""
    with torch.no_grad():
        return tokenizer.quantise(latent)[1][-1]


def make_loss(tokenizer):
    """The loss closes over the frozen tokenizer."""

    def loss(model: Flow, data: tuple[Tensor, Tensor], noise: torch.Generator):
        device = next(model.parameters()).device
        x0, indices = dequantised(tokenizer, data[0].to(device)) / model.latent_std, data[1].to(device)
        t = shifted(torch.sigmoid(torch.randn(len(x0), generator=noise, device=device)))
        eps = torch.randn(x0.shape, generator=noise, device=device)
        wide = t[:, None, None, None]
        x0_hat = model((1 - wide) * x0 + wide * eps, t, indices)
        squared = (x0_hat - x0).square().mean((1, 2, 3))
        return (squared / t.clamp(min=LEAST_WEIGHTED).square()).mean(), {"x0_error": squared.detach().mean()}

    return loss


@torch.no_grad()
def validate(model: Flow, tokenizer, seed: int = 99) -> dict:
    """Mean squared error of x0_hat on fresh scenes at five times."""
    latent, words = Latents(1024, seed).batch(random.Random("validation"), 512, drop=0)
    x0, read = dequantised(tokenizer, latent) / model.latent_std, model.read(words)
    eps, errors = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)), {}
    for time in (0.1, 0.3, 0.5, 0.7, 0.9):
        x0_hat = model.predict((1 - time) * x0 + time * eps, torch.full((len(x0),), time), read)
        errors[f"validation x0 error at t={time}"] = round(float((x0_hat - x0).square().mean()), 4)
    return errors


def main() -> None:
    opt = options("flow", __doc__, minutes=60, batch=16, lr=1e-3, size="XS", scenes=60_000)
    torch.manual_seed(opt.seed)
    tokenizer = load_tokenizer().to(opt.device)
    data = Latents(opt.extra["scenes"], device=opt.device, workers=opt.workers)
    config = FlowConfig(size=opt.extra["size"])
    model = Flow(config)
    sample = data.batch(random.Random("scale"), 1024)[0].to(opt.device)
    model.latent_std.fill_(dequantised(tokenizer, sample).std())
    averaged, progress = train(model, data.batch, make_loss(tokenizer), replace(opt, workers=0))
    averaged, tokenizer = averaged.cpu(), tokenizer.cpu()
    export(averaged, opt, progress, {"size": config.size}, validate(averaged, tokenizer), ABOUT)
    save_sheet(EmojiFlow("emoji-flow", averaged, tokenizer, Sampling()), opt.out / f"{opt.name}.png")


ABOUT = "Flow-matching transformer in the tokenizer's latent: the model behind `emoji-flow` and `emoji-flow-sde`."

if __name__ == "__main__":
    main()
