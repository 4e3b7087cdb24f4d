"""Beamscope: live search trees over text-to-image generation."""

from core.torchvision_shim import install

install()
