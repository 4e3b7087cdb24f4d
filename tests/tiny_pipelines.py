"""Random diffusers pipelines of every family, made in memory in the real classes, small enough for milliseconds a step.

Nothing is fetched: encoders, tokenizers and autoencoders are made here as well.
"""

from functools import cache

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

PROMPT = "a red car to the left of a green apple"
SIDE = 48  # pixels of an image
CHAT = "{% for m in messages %}<{{ m['content'] }}>{% endfor %}{% if add_generation_prompt %}:{% endif %}"


def tokenizer(length: int) -> PreTrainedTokenizerFast:
    """A token a letter, at most `length` of them."""
    letters = "abcdefghijklmnopqrstuvwxyz ,.<>:"
    vocab = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3} | {letter: 4 + i for i, letter in enumerate(letters)}
    inner = Tokenizer(WordLevel(vocab, unk_token="<unk>"))
    inner.pre_tokenizer = Split("", "isolated")
    inner.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=length, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", chat_template=CHAT,
    )


def awake(model: torch.nn.Module, std: float = 0.2) -> torch.nn.Module:
    """A random model whose zero-initialised layers say something too."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=std)
    return model.eval().requires_grad_(False)


def clip(projection: bool = False, seed: int = 0, hidden: int = 32) -> torch.nn.Module:
    torch.manual_seed(seed)
    config = CLIPTextConfig(
        vocab_size=64, hidden_size=hidden, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=77, projection_dim=hidden, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )
    return awake((CLIPTextModelWithProjection if projection else CLIPTextModel)(config))


def t5(seed: int = 5) -> torch.nn.Module:
    torch.manual_seed(seed)
    return awake(T5EncoderModel(T5Config(
        vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
    )))


def vae(channels: int, shift: float | None = None) -> AutoencoderKL:
    torch.manual_seed(7)
    return awake(AutoencoderKL(
        latent_channels=channels, block_out_channels=(16, 32), norm_num_groups=8, layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, sample_size=SIDE,
        scaling_factor=0.4, shift_factor=shift, use_quant_conv=False, use_post_quant_conv=shift is None,
    ))


def tiny_vae(channels: int) -> AutoencoderTiny:
    """The small decoder for previews; like the pipelines' autoencoders here it enlarges by 2 only."""
    torch.manual_seed(8)
    return awake(AutoencoderTiny(
        latent_channels=channels, encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1), num_decoder_blocks=(2, 1),
    ))


@cache
def flux(guided: bool = False) -> FluxPipeline:
    """As FLUX.1-schnell, or with the guidance embedding as FLUX.1-dev."""
    torch.manual_seed(1)
    transformer = FluxTransformer2DModel(
        in_channels=16, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, guidance_embeds=guided, axes_dims_rope=(4, 6, 6),
    )
    shift = {"use_dynamic_shifting": True, "shift": 3.0} if guided else {"shift": 1.0}
    return FluxPipeline(
        FlowMatchEulerDiscreteScheduler(**shift), vae(4, 0.1), clip(), tokenizer(77), t5(), tokenizer(512),
        awake(transformer),
    )


@cache
def sdxl() -> StableDiffusionXLPipeline:
    torch.manual_seed(2)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=SIDE // 2, in_channels=4, out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=(1, 2), norm_num_groups=8,
        projection_class_embeddings_input_dim=6 * 8 + 32, cross_attention_dim=64,
    )
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading",
    )
    return StableDiffusionXLPipeline(
        vae(4), clip(), clip(True, 3), tokenizer(77), tokenizer(77), awake(unet, 0.05), scheduler,
        add_watermarker=False,
    )


@cache
def sd3() -> StableDiffusion3Pipeline:
    """With a second attention in the first block, as Stable Diffusion 3.5."""
    torch.manual_seed(3)
    transformer = SD3Transformer2DModel(
        sample_size=SIDE // 2, in_channels=4, out_channels=4, num_layers=3, attention_head_dim=8,
        num_attention_heads=4, joint_attention_dim=64, caption_projection_dim=32, pooled_projection_dim=64,
        pos_embed_max_size=48, dual_attention_layers=(0,), qk_norm="rms_norm",
    )
    torch.manual_seed(5)
    wide_t5 = awake(T5EncoderModel(T5Config(
        vocab_size=64, d_model=64, d_kv=8, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
    )))
    return StableDiffusion3Pipeline(
        awake(transformer), FlowMatchEulerDiscreteScheduler(shift=3.0), vae(4, 0.1), clip(True), tokenizer(77),
        clip(True, 3), tokenizer(77), wide_t5, tokenizer(256),
    )


@cache
def z_image() -> ZImagePipeline:
    torch.manual_seed(4)
    transformer = ZImageTransformer2DModel(
        in_channels=4, dim=48, n_layers=2, n_refiner_layers=1, n_heads=3, n_kv_heads=3, cap_feat_dim=32,
        axes_dims=[4, 6, 6], axes_lens=[640, 64, 64],
    )
    encoder = Qwen3Model(Qwen3Config(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8,
    ))
    return ZImagePipeline(
        FlowMatchEulerDiscreteScheduler(shift=3.0), vae(4, 0.1), awake(encoder), tokenizer(512), awake(transformer),
    )
