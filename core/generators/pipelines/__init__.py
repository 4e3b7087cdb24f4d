"""Diffusion models of others through diffusers, behind our own sampling loop.

One adapter (diffusion.py), a family for each kind of network, and a load function for each name in the registry:
`load_NAME` with underscores, and the same with `_sde` for the sampler that draws at every step. Steps and guidance are
those that the models' pages recommend; the share of fresh noise is a guess that real weights have not tested.

[schnell] is free to use. [dev] is not: its licence allows no commercial use, and the hub asks for an account that has
agreed to it.
"""

from dataclasses import replace

from core.generators.pipelines.diffusion import Diffusion
from core.generators.pipelines.family import Sampling
from core.generators.pipelines.flux import Flux
from core.generators.pipelines.loading import opened

ETA = 0.5  # share of fresh noise a step of the SDE samplers
SCHNELL = Sampling(steps=4)
DEV = Sampling(steps=28, cfg=3.5)


def load_flux_schnell() -> Diffusion:
    return opened("flux-schnell", Flux, "flux-schnell", SCHNELL)


def load_flux_schnell_sde() -> Diffusion:
    return opened("flux-schnell-sde", Flux, "flux-schnell", replace(SCHNELL, eta=ETA))


def load_flux_dev() -> Diffusion:
    return opened("flux-dev", Flux, "flux-dev", DEV)


def load_flux_dev_sde() -> Diffusion:
    return opened("flux-dev-sde", Flux, "flux-dev", replace(DEV, eta=ETA))
