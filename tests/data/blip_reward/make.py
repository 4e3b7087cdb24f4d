"""Make reference.safetensors: what the original ImageReward answers on a tiny random configuration.

Runs in an environment of its own, python 3.11 with
    torch==2.13.0 torchvision==0.28.0 image-reward==1.5 clip-anytorch==2.6.0 transformers==4.40.2 diffusers==0.27.2
    huggingface-hub==0.25.2 accelerate==0.34.2 datasets==2.21.0 pyarrow==17.0.0 "numpy<2" "setuptools<81"
as: PYTHONPATH=. python tests/data/blip_reward/make.py. The classes are the wheel's own; only sizes are small. Weights
come from `weights`, which the test calls too, so that the file holds inputs and outputs alone.
"""

from pathlib import Path
from zlib import crc32

import numpy as np
import torch

FILE = Path(__file__).with_name("reference.safetensors")
SIDE, PATCH, VISION, VISION_LAYERS, VISION_HEADS = 32, 8, 32, 2, 4
TEXT, TEXT_LAYERS, TEXT_HEADS, TEXT_HIDDEN, VOCABULARY, LENGTH = 24, 2, 3, 48, 60, 35
PROJECTION = 8
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "car", "tree", "left", "of", "##s", "the", ",",
         "'", "cafe", "\u8f66", "##less", "-"]  # a vocabulary in the format of vocab.txt
PROMPTS = ["A red cars left of the tree", "a Caf\u00e9's treeless\u2014CAR, the\u8f66tree", "", "red " * 60,
           "unheard-of\u200b tree"]


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """A random tensor for each official key, from the key alone; norms about 1, matrices that keep the scale."""
    return {key: torch.from_numpy(_drawn(key, tuple(shape)).astype(np.float32)) for key, shape in shapes.items()}


def _drawn(key: str, shape: tuple[int, ...]) -> np.ndarray:
    noise = np.random.RandomState(crc32(key.encode())).standard_normal(shape)
    if len(shape) > 1:
        return noise / np.sqrt(np.prod(shape[1:])) if "embed" not in key else noise * 0.3
    return noise * 0.2 + ("norm" in key.lower() and key.endswith("weight"))


def original() -> torch.nn.Module:
    """The wheel's ImageReward with small towers; made around its constructor, which fetches a tokenizer."""
    import core  # noqa: F401, I001  torchvision beside a CPU torch: see core/torchvision_shim.py
    from ImageReward.ImageReward import MLP, ImageReward, _transform
    from ImageReward.models.BLIP.med import BertConfig, BertModel
    from ImageReward.models.BLIP.vit import VisionTransformer

    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=TEXT, num_hidden_layers=TEXT_LAYERS, num_attention_heads=TEXT_HEADS,
        intermediate_size=TEXT_HIDDEN, max_position_embeddings=64, add_type_embeddings=False, type_vocab_size=2,
        fusion_layer=0, add_cross_attention=True, encoder_width=VISION, layer_norm_eps=1e-12,
    )  # fmt: skip
    model = ImageReward.__new__(ImageReward)
    torch.nn.Module.__init__(model)
    model.device, model.mean, model.std = "cpu", 0.16717362830052426, 1.0333394966054072
    model.blip = torch.nn.Module()
    model.blip.visual_encoder = VisionTransformer(
        img_size=SIDE, patch_size=PATCH, embed_dim=VISION, depth=VISION_LAYERS, num_heads=VISION_HEADS
    )
    model.blip.text_encoder = BertModel(config=config, add_pooling_layer=False)
    model.blip.vision_proj = torch.nn.Linear(VISION, PROJECTION)
    model.blip.text_proj = torch.nn.Linear(TEXT, PROJECTION)
    model.mlp = MLP(TEXT)
    model.preprocess = _transform(SIDE)
    floats = {key: value.shape for key, value in model.state_dict().items() if value.is_floating_point()}
    lacking, foreign = model.load_state_dict(weights(floats), strict=False)
    assert not foreign and all(key.endswith("position_ids") for key in lacking), (lacking, foreign)
    return model.eval()


def word_ids() -> torch.Tensor:
    """PROMPTS [P, LENGTH] by the wheel's tokenizer class, with the marks that its init_tokenizer adds."""
    from tempfile import TemporaryDirectory

    from transformers import BertTokenizer

    with TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("\n".join(WORDS), encoding="utf-8")
        tokenizer = BertTokenizer(str(path))
    tokenizer.add_special_tokens({"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
    return tokenizer(PROMPTS, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt").input_ids


@torch.no_grad()
def main() -> None:
    from PIL import Image
    from safetensors.torch import save_file

    rng, model = np.random.RandomState(0), original()
    images = rng.randint(0, 256, (4, 41, 58, 3)).astype(np.uint8)
    pixels = torch.stack([model.preprocess(Image.fromarray(image)) for image in images])
    ids = torch.zeros(4, LENGTH, dtype=torch.long)
    for row, length in enumerate((3, 9, 20, LENGTH)):
        ids[row, :length] = torch.from_numpy(rng.randint(1, VOCABULARY, length))
    mask = (ids > 0).long()
    tokens = model.blip.visual_encoder(pixels)
    rewards = model.score_gard(ids, mask, pixels)[:, 0]
    keys = "\n".join(f"{key} {list(value.shape)}" for key, value in model.state_dict().items())
    tensors = {"images": torch.from_numpy(images), "pixels": pixels, "ids": ids, "mask": mask, "tokens": tokens,
               "rewards": rewards, "word_ids": word_ids()}  # fmt: skip
    save_file({name: value.contiguous() for name, value in tensors.items()}, FILE, metadata={"keys": keys})
    print(rewards.tolist(), FILE.stat().st_size)


if __name__ == "__main__":
    main()
