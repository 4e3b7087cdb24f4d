"""Tiny random checkpoints in every official format: to test loading, and to try everything without the real weights.

Networks of the official structure with random weights draw textures, not pictures. The key table here is written from
the official files and knows nothing of the networks that load it.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from core.models.infinity.checkpoint import INDEX, ZERO_BIAS, official_vae
from core.models.infinity.config import InfinityConfig
from core.models.infinity.vae import VAES, Vae

Shape = tuple[int, ...]
WORDS = ("a", "an", "the", "red", "blue", "green", "yellow", "cat", "dog", "house", "tree", "car", "on", "left", "of",
         "right", "above", "photo", "painting", "star", "moon", "three", "two", "and", "with", "heart", "apple")


# Transformer


def official_shapes(config: InfinityConfig) -> dict[str, Shape]:
    """Every key of an official transformer's file and its shape."""
    dim, text, heads = config.dim, config.text_dim, config.heads
    around = {
        "cfg_uncond": (512, text), "pos_start": (1, 1, dim), "text_norm.weight": (text,),
        "text_proj_for_sos.ca.mat_q": (1, config.pool_heads, dim // config.pool_heads),
        "text_proj_for_sos.ca.mat_kv.weight": (2 * dim, text), "text_proj_for_sos.ca.v_bias": (dim,),
        "text_proj_for_sos.ca.zero_k_bias": (dim,), **_linear("text_proj_for_sos.ca.proj", dim, dim),
        **_linear("text_proj_for_ca.0", dim, text), **_linear("text_proj_for_ca.2", dim, dim),
        "lvl_embed.weight": (15, dim), **_linear("word_embed", dim, config.bits),
        **_linear("shared_ada_lin.1", 6 * dim, dim), **_linear("head_nm.ada_lin.1", 2 * dim, dim),
        **_linear("head", 2 * config.bits, dim),
    }  # fmt: skip
    block = {
        "ada_gss": (1, 1, 6, dim), "sa.scale_mul_1H11": (1, heads, 1, 1), "sa.mat_qkv.weight": (3 * dim, dim),
        "sa.q_bias": (dim,), "sa.v_bias": (dim,), "sa.zero_k_bias": (dim,), **_linear("sa.proj", dim, dim),
        "ca_norm.weight": (dim,), "ca_norm.bias": (dim,), **_linear("ca.mat_q", dim, dim),
        "ca.mat_kv.weight": (2 * dim, dim), "ca.v_bias": (dim,), "ca.zero_k_bias": (dim,),
        **_linear("ca.proj", dim, dim), **_linear("ffn.fc1", config.hidden, dim),
        **_linear("ffn.fc2", dim, config.hidden),
    }  # fmt: skip
    for number in range(config.depth):
        chunk, inside = divmod(number, config.blocks_per_chunk)
        around |= {f"block_chunks.{chunk}.module.{inside}.{key}": shape for key, shape in block.items()}
    return around


def _linear(name: str, outside: int, inside: int) -> dict[str, Shape]:
    return {f"{name}.weight": (outside, inside), f"{name}.bias": (outside,)}


def official_weights(config: InfinityConfig, seed: int = 0) -> dict[str, Tensor]:
    """Random weights under official names: every tensor matters, and activations stay of order one."""
    generator = torch.Generator().manual_seed(seed)
    return {key: _drawn(key, shape, generator) for key, shape in official_shapes(config).items()}


def _drawn(key: str, shape: Shape, generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    if key.endswith(ZERO_BIAS):
        return torch.zeros(shape)
    if key.endswith("scale_mul_1H11"):
        return 1.4 + 0.1 * noise  # a logarithm: attention's logits reach about 4
    if key.endswith(("norm.weight", "lvl_embed.weight", "pos_start", "cfg_uncond", "mat_q")):
        return 1 + 0.1 * noise if "norm" in key else noise
    if key.endswith(("bias", "ada_gss")):
        return 0.3 * noise
    return noise / shape[-1] ** 0.5


def write_transformer(path: Path, config: InfinityConfig, seed: int = 0, pack: Callable = lambda found: found) -> Path:
    """A `.pth` as those of 125M and 2B. pack: puts the weights into what a training run saves around them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(pack(official_weights(config, seed)), path)
    return path


def write_shards(folder: Path, config: InfinityConfig, seed: int = 0, shards: int = 3) -> Path:
    """A folder of safetensors with an index, as those of 8B."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = official_weights(config, seed)
    names = [f"model-{number + 1:05d}-of-{shards:05d}.safetensors" for number in range(shards)]
    where = {key: names[number % shards] for number, key in enumerate(weights)}
    for name in names:
        save_file({key: weights[key] for key in weights if where[key] == name}, folder / name, {"format": "pt"})
    size = sum(value.nbytes for value in weights.values())
    (folder / f"model{INDEX}").write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": where}))
    return folder


# Autoencoder


def random_vae(package: str = "tiny-vae", seed: int = 0) -> Vae:
    """Random weights; the picture uses the whole range of colours."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = Vae(VAES[package]).eval().requires_grad_(False)
    vae.decoder.conv_out.conv.weight.mul_(2)
    return vae


def write_vae(path: Path, package: str = "tiny-vae", seed: int = 0) -> Path:
    """A `.pth` with the weights under `vae`, beside what training needed besides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    vae = random_vae(package, seed)
    critic = {"main.0.weight": torch.zeros(64, 3, 4, 4)}
    torch.save({"vae": official_vae(vae), "image_disc": critic, "opt_vae": {"step": 3}, "step": 3}, path)
    return path


# Text encoder


def write_text_encoder(folder: Path, width: int = 256, seed: int = 0) -> Path:
    """A T5 in two shards, encoder and decoder, with a tokenizer of some words and of single letters."""
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    pieces += [(f"\u2581{word}", -3.0 - number / 10) for number, word in enumerate(WORDS)]
    pieces += [(letter, -9.0) for letter in "abcdefghijklmnopqrstuvwxyz0123456789,.!?'-"]
    T5Tokenizer(vocab=pieces, extra_ids=0).save_pretrained(folder)
    config = T5Config(vocab_size=128, d_model=width, d_kv=16, d_ff=2 * width, num_layers=2, num_decoder_layers=1,
                      num_heads=4, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(config)
    model.save_pretrained(folder, max_shard_size="2MB")
    return folder
