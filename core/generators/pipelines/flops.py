"""FLOPs and working memory of foreign networks by count. Nothing is run.

Two FLOPs a weight each time that it is applied, and attention; norms, activations and additions are left out, as in
torch's own counter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

MAPS, TINY_MAPS = 3, 4  # feature maps that a block of either decoder holds at once: its input, and those on the way


def layer_flops(module: nn.Module, applied: Callable[[str], int]) -> float:
    """Of the linear and convolution layers in `module`; applied(name) says to how many positions each is applied."""
    layers = (item for item in module.named_modules() if isinstance(item[1], nn.Linear | nn.Conv2d))
    return 2.0 * sum(layer.weight.numel() * applied(name) for name, layer in layers)


def attention_flops(queries: int, keys: int, width: int) -> float:
    """Of both products of one attention; `width` of all heads together."""
    return 4.0 * queries * keys * width


def encoder_flops(encoder: nn.Module | None, words: int) -> float:
    """Of reading `words` tokens (T5, CLIP, Qwen3); none where a pipeline does without the encoder."""
    if encoder is None:
        return 0.0
    config = encoder.config
    heads = config.num_attention_heads
    size = getattr(config, "d_kv", None) or getattr(config, "head_dim", None) or config.hidden_size // heads
    attention = config.num_hidden_layers * attention_flops(words, words, heads * size)
    return layer_flops(encoder, lambda name: 1 if name == "text_projection" else words) + attention


def decoder_flops(vae: nn.Module, height: int, width: int) -> float:
    """Of an AutoencoderKL that decodes a latent of this height and width."""
    pixels, flops = height * width, 0.0
    for attention in vae.decoder.mid_block.attentions:
        flops += attention_flops(pixels, pixels, attention.to_q.out_features) if attention is not None else 0
    if vae.post_quant_conv is not None:
        flops += layer_flops(vae.post_quant_conv, lambda _: pixels)
    return flops + sum(layer_flops(stage, lambda _, here=here: here) for stage, here in _decoder_stages(vae, pixels))


def tiny_decoder_flops(vae: nn.Module, height: int, width: int) -> float:
    """Of an AutoencoderTiny."""
    return sum(layer_flops(stage, lambda _, here=here: here) for stage, here in _tiny_stages(vae, height * width))


def decoder_bytes(vae: nn.Module, height: int, width: int) -> int:
    return MAPS * _widest(_decoder_stages(vae, height * width)) * vae.dtype.itemsize


def tiny_decoder_bytes(vae: nn.Module, height: int, width: int) -> int:
    return TINY_MAPS * _widest(_tiny_stages(vae, height * width)) * vae.dtype.itemsize


def _widest(stages: Iterator[tuple[nn.Module, int]]) -> int:
    """Values of the largest feature map."""
    return max(
        pixels * max(layer.in_channels, layer.out_channels)
        for stage, pixels in stages for layer in stage.modules() if isinstance(layer, nn.Conv2d)
    )


def _decoder_stages(vae: nn.Module, pixels: int) -> Iterator[tuple[nn.Module, int]]:
    """The parts of an AutoencoderKL's decoder, each with the number of positions at which it works."""
    decoder = vae.decoder
    yield decoder.conv_in, pixels
    yield decoder.mid_block, pixels
    for block in decoder.up_blocks:
        yield block.resnets, pixels
        if block.upsamplers is not None:
            pixels *= 4
            yield block.upsamplers, pixels
    yield decoder.conv_out, pixels


def _tiny_stages(vae: nn.Module, pixels: int) -> Iterator[tuple[nn.Module, int]]:
    """Of an AutoencoderTiny's decoder: one sequence of convolutions and enlargements by two."""
    for layer in vae.decoder.layers:
        pixels *= 4 if isinstance(layer, nn.Upsample) else 1
        yield layer, pixels
