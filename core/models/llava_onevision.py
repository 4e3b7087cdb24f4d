"""Prices of a LLaVA-OneVision, from its configuration: a SigLIP that sees, a projector, a Qwen2 that reads.

Letters: N image tokens (729), T tokens that the language model reads, D its width.
"""

from typing import Any

from core.models import transformer_flops as flops


def image_tokens(config: Any) -> int:
    """Of one tile, and a mark of its end."""
    return (config.vision_config.image_size // config.vision_config.patch_size) ** 2 + 1


def image_flops(config: Any) -> int:
    """One tile through the vision tower and the projector."""
    vision, width = config.vision_config, config.text_config.hidden_size
    tokens = image_tokens(config) - 1
    seen = flops.patches(vision.image_size, vision.patch_size, vision.hidden_size)
    seen += vision.num_hidden_layers * flops.block(tokens, vision.hidden_size, vision.intermediate_size)
    return seen + flops.linear(tokens, vision.hidden_size, width) + flops.linear(tokens, width, width)


def text_flops(config: Any, tokens: int) -> int:
    """T tokens through the language model; keys and values may have fewer heads, the MLP has a gate."""
    text = config.text_config
    width, hidden = text.hidden_size, text.intermediate_size
    narrow = width * text.num_key_value_heads // text.num_attention_heads
    layer = 2 * flops.linear(tokens, width, width) + 2 * flops.linear(tokens, width, narrow)
    layer += flops.attention(tokens, tokens, width) + 3 * flops.linear(tokens, width, hidden)
    return text.num_hidden_layers * layer


def image_numbers(config: Any, tokens: int) -> int:
    """Numbers held at a time for one image, about: what all layers of the tower saw and an MLP's, or an MLP's in the
    language model."""
    vision, text = config.vision_config, config.text_config
    kept = (vision.num_hidden_layers + 4) * vision.hidden_size
    seeing = (image_tokens(config) - 1) * (kept + 2 * vision.intermediate_size)
    reading = tokens * (5 * text.hidden_size + 3 * text.intermediate_size)
    return max(seeing, reading)
