"""Diffusion models of others through diffusers, behind our own sampling loop.

One adapter (diffusion.py), a family for each kind of network, and a load function for each name in the registry:
`load_NAME` with underscores, and the same with `_sde` for the sampler that draws at every step. Steps and guidance are
those that the models' pages recommend; the share of fresh noise is a guess that real weights have not tested.

At 1024 x 1024 pixels (parameters that predict, parameters that read the prompt; TFLOP a step and an image):

    flux-schnell    11.90e9   4.89e9   69.5    278        sdxl             2.57e9   0.82e9   13.5   406
    flux-dev        11.90e9   4.89e9   74.4   2083        sd35-medium      2.24e9   5.58e9   22.5   900
                                                          z-image-turbo    6.15e9   4.02e9   55.6   445

A finished image takes 10.5 TFLOP more to decode, a preview 0.57 with the small decoder. BEAMSCOPE_OFFLOAD says which
networks are on a GPU: see lodging.py.

Licences differ. FLUX.1 [dev] may not be used commercially, and the hub asks for an account that has agreed to that;
Stable Diffusion 3.5 is free below a yearly revenue; core/packages/catalogue.py says it of each.
"""

from dataclasses import replace

from core.generators.pipelines.diffusion import Diffusion
from core.generators.pipelines.family import Sampling
from core.generators.pipelines.flux import Flux
from core.generators.pipelines.loading import opened
from core.generators.pipelines.sd3 import StableDiffusion3
from core.generators.pipelines.sdxl import StableDiffusionXL
from core.generators.pipelines.z_image import ZImage

ETA = 0.5  # share of fresh noise a step of the SDE samplers
SCHNELL = Sampling(steps=4)
DEV = Sampling(steps=28, cfg=3.5)
SDXL = Sampling(steps=30, cfg=5.0)
SD35_MEDIUM = Sampling(steps=40, cfg=4.5)
Z_IMAGE_TURBO = Sampling(steps=8)


def load_flux_schnell() -> Diffusion:
    return opened("flux-schnell", Flux, "flux-schnell", SCHNELL)


def load_flux_schnell_sde() -> Diffusion:
    return opened("flux-schnell-sde", Flux, "flux-schnell", replace(SCHNELL, eta=ETA))


def load_flux_dev() -> Diffusion:
    return opened("flux-dev", Flux, "flux-dev", DEV)


def load_flux_dev_sde() -> Diffusion:
    return opened("flux-dev-sde", Flux, "flux-dev", replace(DEV, eta=ETA))


def load_sdxl() -> Diffusion:
    return opened("sdxl", StableDiffusionXL, "sdxl", SDXL)


def load_sdxl_sde() -> Diffusion:
    return opened("sdxl-sde", StableDiffusionXL, "sdxl", replace(SDXL, eta=ETA))


def load_sd35_medium() -> Diffusion:
    return opened("sd35-medium", StableDiffusion3, "sd35-medium", SD35_MEDIUM)


def load_sd35_medium_sde() -> Diffusion:
    return opened("sd35-medium-sde", StableDiffusion3, "sd35-medium", replace(SD35_MEDIUM, eta=ETA))


def load_z_image_turbo() -> Diffusion:
    return opened("z-image-turbo", ZImage, "z-image-turbo", Z_IMAGE_TURBO)


def load_z_image_turbo_sde() -> Diffusion:
    return opened("z-image-turbo-sde", ZImage, "z-image-turbo", replace(Z_IMAGE_TURBO, eta=ETA))
