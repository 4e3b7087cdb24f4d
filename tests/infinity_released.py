"""Tiny random models in place of Infinity's released ones: official files under the packages' names, and a world in
which the released configurations are that small."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from core.models.infinity import tiny
from core.models.infinity.config import CONFIGS
from core.models.infinity.vae import VAES
from core.packages import catalogue

AS = {  # released name: tiny configuration and its autoencoder
    "infinity-125m": ("tiny", "infinity-vae-d16"),
    "infinity-8b-512": ("tiny-patchify", "infinity-vae-d56"),
}


def shrink(monkeypatch, root: Path) -> None:
    """The released configurations become tiny ones, and `root` the folder of packages."""
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(root))
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(root / "cache"))
    for name, (small, vae) in AS.items():
        monkeypatch.setitem(CONFIGS, name, replace(CONFIGS[small], name=name, vae=vae))
        monkeypatch.setitem(VAES, vae, VAES[CONFIGS[small].vae])


def release(monkeypatch, root: Path, name: str = "infinity-125m") -> None:
    """Everything that a model needs, downloaded. Hashes of the released files are those of these."""
    shrink(monkeypatch, root)
    config = CONFIGS[name]
    path = root / name / catalogue.PACKAGES[name].needed[0]
    if path.suffix == ".pth":
        tiny.write_transformer(path, config)
    else:
        tiny.write_shards(path.parent, config)
    [file] = catalogue.PACKAGES[config.vae].needed
    vae = tiny.write_vae(root / config.vae / file, config.vae)
    tiny.write_text_encoder(root / "flan-t5-xl", config.text_dim)
    known = ((file, sha256(vae.read_bytes()).hexdigest()),)
    monkeypatch.setitem(catalogue.PACKAGES, config.vae, replace(catalogue.PACKAGES[config.vae], sha256=known))
