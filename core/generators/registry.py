"""The generators by name: ours, those of others whose weights can be fetched, and those of other packages.

What they need is computed from the parameters that their configurations give and the memory that one image takes
beside them; it was not measured.
"""

from __future__ import annotations

from core.generators.base import Generator
from core.registry import Entry, Needs, lazy, pick, plugins

GENERATORS: dict[str, Entry] = {
    "emoji-ar": Entry(
        "Next-scale autoregressive model of the emoji world", lazy("core.generators.emoji_ar:load"),
        frozenset({"branches", "signature"}), needs=Needs(assets=("tokenizer", "next_scale")),
    ),
    "emoji-flow": Entry(
        "Flow-matching diffusion model of the emoji world, ODE sampler", lazy("core.generators.emoji_flow:load"),
        frozenset({"signature", "renoise", "neighbours"}), needs=Needs(assets=("tokenizer", "flow")),
    ),
    "emoji-flow-sde": Entry(
        "The same diffusion model, SDE sampler: draws at every step", lazy("core.generators.emoji_flow:load_sde"),
        frozenset({"branches", "signature", "renoise", "neighbours"}), needs=Needs(assets=("tokenizer", "flow")),
    ),
    "emoji-ar-flow": Entry(
        "The next-scale model lays out, the diffusion model finishes", lazy("core.generators.emoji_ar_flow:load"),
        frozenset({"branches", "signature", "renoise", "handover"}),
        needs=Needs(assets=("tokenizer", "next_scale", "flow")),
    ),
}


def _infinity(size: str, pixels: int, vae: str, parameters: float, working: float, gflop: float) -> dict[str, Entry]:
    """T5 makes room on a GPU as soon as it has read the prompt."""
    name = f"infinity-{size}"
    needs = Needs((name, vae, "flan-t5-xl"), parameters=parameters, before=1.223e9, working=working, gflop=gflop)
    about = f"Infinity {size.partition('-')[0].upper()}: next-scale autoregressive, {pixels} px (Han et al. 2025)"
    load = lazy(f"core.generators.infinity:load_{size.replace('-', '_')}")
    return {name: Entry(about, load, frozenset({"branches", "signature"}), needs=needs)}


def _pipeline(name: str, description: str, load: str, packages: tuple[str, ...], parameters: float,
              before: float, gflop: float) -> dict[str, Entry]:
    """A diffusion model through diffusers, with both samplers. Its networks come and go where room is scarce."""
    needs = Needs(packages, ("diffusers>=0.40,<1", "accelerate>=1.10,<2"), parameters=parameters, before=before,
                  working=3e9, layered=True, gflop=gflop)
    ode, target = frozenset({"signature", "renoise", "neighbours"}), f"core.generators.pipelines:{load}"
    return {
        name: Entry(f"{description}; ODE sampler", lazy(target), ode, needs=needs),
        f"{name}-sde": Entry(f"{description}; SDE sampler, which draws at every step", lazy(f"{target}_sde"),
                             ode | {"branches"}, needs=needs),
    }  # fmt: skip


GENERATORS |= {
    **_infinity("125m", 256, "infinity-vae-d16", 0.190e9, 0.2e9, 840),
    **_infinity("2b", 1024, "infinity-vae-d32reg", 2.270e9, 5.3e9, 125_000),
    **_infinity("8b", 1024, "infinity-vae-d56", 8.425e9, 9.3e9, 392_000),
    **_infinity("8b-512", 512, "infinity-vae-d56", 8.425e9, 2.2e9, 79_800),
    **_pipeline("flux-schnell", "FLUX.1 [schnell], 12 B parameters, 4 steps to 1024 px", "load_flux_schnell",
                ("flux-schnell", "taef1"), 11.99e9, 4.89e9, 308_000),
    **_pipeline("flux-dev", "FLUX.1 [dev], 12 B parameters, 28 steps to 1024 px, no commercial use",
                "load_flux_dev", ("flux-dev", "taef1"), 11.99e9, 4.89e9, 2_090_000),
    **_pipeline("sdxl", "Stable Diffusion XL, 2.6 B parameters, 30 steps to 1024 px", "load_sdxl",
                ("sdxl", "taesdxl"), 2.65e9, 0.82e9, 370_000),
    **_pipeline("sd35-medium", "Stable Diffusion 3.5 medium, 2.5 B parameters, 40 steps to 1024 px",
                "load_sd35_medium", ("sd35-medium", "taesd3"), 2.55e9, 5.58e9, 1_160_000),
    **_pipeline("z-image-turbo", "Z-Image-Turbo, 6 B parameters, 8 steps to 1024 px", "load_z_image_turbo",
                ("z-image-turbo", "taef1"), 6.24e9, 4.02e9, 475_000),
}
GENERATORS |= plugins("generators", GENERATORS, reserved="emoji-")   # whose prompts have to be of the emoji world


def load_generator(name: str) -> Generator:
    return pick("generator", GENERATORS, name).load()
