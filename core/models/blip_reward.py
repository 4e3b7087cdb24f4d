"""ImageReward 1.0 on transformers' BLIP parts: how well people would like an image for a prompt (Xu et al. 2023).

A vision transformer, a BERT whose every layer looks at the image's tokens, and a head of five linear layers without
activations on [CLS], standardised by the mean and deviation of its training. `official` renames the keys of the
published ImageReward.pt; everything is loaded strictly after that.

Letters: B pairs, T words (35), N image tokens (197), V and D widths of vision and text.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.models import transformer_flops as flops
from core.models.linear_head import LinearHead

MEAN, STD = 0.16717362830052426, 1.0333394966054072  # of the head's output in training (the published constants)
WORDS = 35  # every prompt is padded or cut to as many tokens


@dataclass(frozen=True)
class BlipRewardConfig:
    side: int = 224  # px
    patch: int = 16
    vision_width: int = 1024
    vision_layers: int = 24
    vision_heads: int = 16
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    text_hidden: int = 3072
    vocabulary: int = 30524  # BERT's uncased words and two marks of BLIP's
    positions: int = 512

    @property
    def tokens(self) -> int:
        return (self.side // self.patch) ** 2 + 1


class BlipReward(nn.Module):
    """(images, prompts) -> rewards [B]."""

    def __init__(self, config: BlipRewardConfig | None = None):
        from transformers import BlipTextConfig, BlipTextModel, BlipVisionConfig, BlipVisionModel

        super().__init__()
        self.config = config = config or BlipRewardConfig()
        self.vision = BlipVisionModel(BlipVisionConfig(
            hidden_size=config.vision_width, intermediate_size=4 * config.vision_width,
            num_hidden_layers=config.vision_layers, num_attention_heads=config.vision_heads, image_size=config.side,
            patch_size=config.patch, layer_norm_eps=1e-6,  # timm's; BLIP's own default is another
        ))  # fmt: skip
        self.text = BlipTextModel(BlipTextConfig(
            vocab_size=config.vocabulary, hidden_size=config.text_width, encoder_hidden_size=config.vision_width,
            intermediate_size=config.text_hidden, num_hidden_layers=config.text_layers,
            num_attention_heads=config.text_heads, max_position_embeddings=config.positions, layer_norm_eps=1e-12,
            is_decoder=True,  # only so that cross-attention exists; it reads in both directions below
        ), add_pooling_layer=False)  # fmt: skip
        self.mlp = LinearHead(config.text_width)

    def forward(self, images: Tensor, ids: Tensor, mask: Tensor | None) -> Tensor:
        """images [B, 3, side, side] normalised as CLIP's, ids and mask [B, T] -> [B]. Every image token is seen."""
        tokens = self.vision(images).last_hidden_state  # [B, N, V]
        places = torch.arange(ids.shape[1], device=ids.device)[None]  # [1, T]
        said = self.text(
            ids, attention_mask=mask, position_ids=places, encoder_hidden_states=tokens, is_decoder=False
        ).last_hidden_state  # [B, T, D]  # fmt: skip
        return (self.mlp(said[:, 0]) - MEAN) / STD

    def flops(self) -> int:
        """Of one image and its prompt."""
        c = self.config
        seen = flops.patches(c.side, c.patch, c.vision_width)
        seen += c.vision_layers * flops.block(c.tokens, c.vision_width, 4 * c.vision_width)
        look = 2 * flops.linear(WORDS, c.text_width, c.text_width)  # queries and output
        look += 2 * flops.linear(c.tokens, c.vision_width, c.text_width)  # keys and values
        look += flops.attention(WORDS, c.tokens, c.text_width)
        said = c.text_layers * (flops.block(WORDS, c.text_width, c.text_hidden) + look)
        return seen + said + self.mlp.flops()

    def image_bytes(self) -> int:
        """Working memory of one image, about: the larger of a vision layer's attention and its MLP."""
        c = self.config
        attention = 3 * c.vision_heads * c.tokens**2 + 6 * c.tokens * c.vision_width
        mlp = 11 * c.tokens * c.vision_width
        return max(attention, mlp) * next(self.parameters()).element_size()


_VISION = {
    "cls_token": "embeddings.class_embedding", "pos_embed": "embeddings.position_embedding",
    "patch_embed.proj.": "embeddings.patch_embedding.", "norm.": "post_layernorm.", "blocks.": "encoder.layers.",
}  # fmt: skip
_BLOCK = {"norm1.": "layer_norm1.", "norm2.": "layer_norm2.", "attn.qkv.": "self_attn.qkv.",
          "attn.proj.": "self_attn.projection."}  # fmt: skip
_UNUSED = ("blip.vision_proj.", "blip.text_proj.")  # of BLIP's own contrastive loss


def official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published keys -> BlipReward's. What the score does not use is dropped, unknown keys stay as they are."""
    kept = (key for key in tensors if not key.startswith(_UNUSED) and not key.endswith(".position_ids"))
    return {_renamed(key): tensors[key] for key in kept}


def _renamed(key: str) -> str:
    if key.startswith("blip.text_encoder."):
        return key.replace("blip.text_encoder.", "text.", 1)
    if not key.startswith("blip.visual_encoder."):
        return key
    key = key.removeprefix("blip.visual_encoder.")
    old = next((old for old in _VISION if key.startswith(old)), "")
    key = _VISION.get(old, "") + key.removeprefix(old)
    if old == "blocks.":
        for old, new in _BLOCK.items():
            key = key.replace(f".{old}", f".{new}", 1)
    return f"vision.{key}"


def load_official(tensors: Mapping[str, Tensor], path, config: BlipRewardConfig | None = None) -> BlipReward:
    """The model with the weights of an ImageReward.pt. Raises WeightsMissing naming `path` where they do not fit."""
    from core.models.checkpoint_files import fill

    with torch.device("meta"):
        model = BlipReward(config)
    fill(model, official(tensors), path)
    model.text.embeddings.position_ids = torch.arange(model.config.positions)[None]  # on no disk, so still on meta
    return model
