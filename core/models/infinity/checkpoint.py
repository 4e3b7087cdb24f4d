"""Official files of Infinity into our networks, and back. Strict: what does not fit is an error, never left random.

Transformers come as one `.pth` of tensors, as such a file of a training run, or as safetensors in shards with an
index; autoencoders as a `.pth` with the weights under `vae` among much else. Files are mapped, not read: a tensor is
read when it is copied into the network, so that a model needs its own size of memory and no more.
"""

import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from core.models.infinity.config import CONFIGS, InfinityConfig
from core.models.infinity.transformer import InfinityTransformer
from core.models.infinity.vae import VAES, Vae
from core.models.infinity.vae import config_of as vae_config_of
from core.search.errors import WeightsMissing

INDEX = ".safetensors.index.json"
NESTED = (("trainer", "gpt_fsdp"), ("gpt_fsdp",), ("vae",))  # where a `.pth` may hold the weights, if not at its top
TRAINING_ONLY = ("lvl_1L", "attn_bias_for_masking", "Infinity_visible_kvlen", "Infinity_invisible_qlen")
ZERO_BIAS = "zero_k_bias"  # keys have no bias; the official modules keep one of zeros
SIGNS = ("quantizer.lfq.mask", "quantize.lfq.mask")  # powers of two, one tensor under two names; signs need none
AGAIN = "it is not a file of this model's weights; download its package again"
SHOWN = 3  # keys named in a message


# Files -> tensors under official names


def read(path: Path) -> dict[str, Tensor]:
    """The mapped tensors of a `.pth`, a `.safetensors` or a folder with shards and their index.

    Raises WeightsMissing that names the file.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise WeightsMissing(f"{path} is missing: download its package again")
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _unpack(_read_pickle(path))
    if not isinstance(tensors, dict) or not tensors:
        raise WeightsMissing(f"{path} holds {type(tensors).__name__} instead of named tensors: {AGAIN}")
    if strange := [str(key) for key, value in tensors.items() if not isinstance(value, Tensor)]:
        raise WeightsMissing(f"{path} holds {_named(strange)}, which are no tensors: {AGAIN}")
    return tensors


def _read_folder(folder: Path) -> dict[str, Tensor]:
    if index := next(iter(sorted(folder.glob("*" + INDEX))), None):
        return _read_shards(index)
    files = sorted(path for path in folder.glob("*") if path.suffix in (".pth", ".pt", ".safetensors"))
    if len(files) != 1:
        raise WeightsMissing(f"{folder} holds {len(files)} files of weights ({_named(path.name for path in files)}): "
                             f"expected one .pth or .safetensors, or shards with *{INDEX}")
    return read(files[0])


def _read_shards(index: Path) -> dict[str, Tensor]:
    """All shards, each key from the file that the index says."""
    try:
        shards = dict(json.loads(index.read_text())["weight_map"])  # key -> file name
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsMissing(f"{index} does not say where each tensor lies ({error}): {AGAIN}") from error
    tensors = {}
    for name in sorted(set(shards.values())):
        held = read(index.parent / name)
        promised = [key for key, file in shards.items() if file == name]
        if lacking := [key for key in promised if key not in held]:
            raise WeightsMissing(f"{index.parent / name} lacks what {index.name} says it holds, {_named(lacking)}: "
                                 "download the package again")
        tensors |= {key: held[key] for key in promised}
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (no iterator of its own)
    except Exception as error:  # the library's own class derives from Exception itself
        raise WeightsMissing(_unreadable(path, error)) from error


def _read_pickle(path: Path):
    try:  # files from before torch 1.6 are no zip that could be mapped
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # of the unpickler, of the zip reader, of the system
        raise WeightsMissing(_unreadable(path, error)) from error


def _unreadable(path: Path, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{path} cannot be read as weights ({reason[:120]}): it is damaged, or holds more than tensors; {AGAIN}"


def _unpack(found):
    """Down to the entry that holds the weights."""
    for way in NESTED:
        entry = found
        for name in way:
            entry = entry.get(name) if isinstance(entry, dict) else None
        if isinstance(entry, dict):
            return entry
    return found


# Official names -> ours


def transformer_weights(path: Path) -> dict[str, Tensor]:
    """The weights of an official transformer, its blocks counted through: `blocks.0.`, `blocks.1.` ..."""
    tensors = {_unwrapped(key): value for key, value in read(path).items()}
    tensors = {key: value for key, value in tensors.items()
               if key not in TRAINING_ONLY and not key.endswith(ZERO_BIAS)}
    per_chunk = 1 + max((int(found[2]) for key in tensors if (found := _CHUNKED.match(key))), default=0)

    def counted(found: re.Match) -> str:
        return f"blocks.{int(found[1]) * per_chunk + int(found[2])}."

    tensors = {_CHUNKED.sub(counted, key): value for key, value in tensors.items()}
    return {key: _one_per_head(value) if key.endswith("scale_mul_1H11") else value for key, value in tensors.items()}


_CHUNKED = re.compile(r"^block_chunks\.(\d+)\.module\.(\d+)\.")


def _unwrapped(key: str) -> str:
    """Without what compilers and parallel training put around modules."""
    return key.replace("_orig_mod.", "").replace("_fsdp_wrapped_module.", "").removeprefix("module.")


def _one_per_head(scale: Tensor) -> Tensor:
    """[1, H, 1, 1]; some training code keeps it as [1, 1, H, 1]."""
    return scale.reshape(1, -1, 1, 1) if scale.dim() == 4 else scale


def vae_weights(path: Path) -> dict[str, Tensor]:
    """The weights of an official autoencoder; names without the wrappers around convolutions and norms get them."""
    tensors = {_unwrapped(key): value for key, value in read(path).items()}
    return {_wrapped(key): value for key, value in tensors.items() if key not in SIGNS}


_BARE = re.compile(r"^(.*?)(conv_in|conv_out|conv1|conv2|nin_shortcut|(?:down|up)sample\.conv)(\.weight|\.bias)$")
_BARE_NORM = re.compile(r"^(.*?)(norm1|norm2|norm_out)(\.weight|\.bias)$")


def _wrapped(key: str) -> str:
    return _BARE_NORM.sub(r"\1\2.norm\3", _BARE.sub(r"\1\2.conv\3", key))


# Ours -> official names


def official_transformer(weights: Mapping[str, Tensor], chunks: int) -> dict[str, Tensor]:
    """Our weights under the names of an official file, with the zero biases that are stored there."""
    depth = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))
    per_chunk = depth // chunks
    found = {}
    for key, value in weights.items():
        name = re.sub(r"^blocks\.(\d+)\.",
                      lambda n: f"block_chunks.{int(n[1]) // per_chunk}.module.{int(n[1]) % per_chunk}.", key)
        found[name] = value
        if name.endswith(".v_bias"):
            found[name.removesuffix("v_bias") + ZERO_BIAS] = torch.zeros_like(value)
    return found


def official_vae(vae: Vae) -> dict[str, Tensor]:
    """The weights of an autoencoder with all that stands under `vae` in an official file."""
    mask = 2 ** torch.arange(vae.config.latent_channels - 1, -1, -1)
    return dict(vae.state_dict()) | dict.fromkeys(SIGNS, mask)


# Tensors -> networks


def load_transformer(
    config: InfinityConfig, path: Path, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> InfinityTransformer:
    """The official (or slim) transformer at `path`, file or folder: matrices of blocks in `dtype`, all else fp32.

    Raises WeightsMissing that says what `path` holds instead.
    """
    with torch.device("meta"):
        model = InfinityTransformer(config)
    tensors = transformer_weights(path)
    require_fit(model, tensors, path, config.name)
    return _filled(model, tensors, device, dtypes(model, dtype))


def load_vae(
    package: str, path: Path, device: str = "cpu", dtype: torch.dtype = torch.float32, encoder: bool = False
) -> Vae:
    """The official (or slim) autoencoder at `path`, without its encoder unless asked for.

    A transformer understands the bits of one autoencoder only, so another one of the same family is refused too.
    Raises WeightsMissing.
    """
    tensors = vae_weights(path)
    if not encoder:
        tensors = {key: value for key, value in tensors.items() if not key.startswith("encoder.")}
    elif "decoder.conv_in.conv.weight" in tensors and "encoder.conv_in.conv.weight" not in tensors:
        raise WeightsMissing(f"{path} holds the decoder only, as conversion leaves it; to read images the official "
                             f"file is needed: {_fetch(package)}")
    with torch.device("meta"):
        vae = Vae(VAES[package], encoder)
    require_fit(vae, tensors, path, package)
    return _filled(vae, tensors, device, dict.fromkeys(tensors, dtype))


def dtypes(model: InfinityTransformer, dtype: torch.dtype) -> dict[str, torch.dtype]:
    """Of every weight: `dtype` for the matrices of the blocks and their biases, fp32 for all that is small."""
    matrices = {f"blocks.{name}" for name, module in model.blocks.named_modules() if isinstance(module, nn.Linear)}
    return {key: dtype if key.rpartition(".")[0] in matrices else torch.float32 for key in model.state_dict()}


def _filled(model: nn.Module, tensors: Mapping[str, Tensor], device: str, become: Mapping[str, torch.dtype]):
    """The model without memory of its own, its weights copied one after another, ready for inference."""
    ready = {key: value.to(device, become[key], copy=True) for key, value in tensors.items()}
    model.load_state_dict(ready, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def require_fit(model: nn.Module, tensors: Mapping[str, Tensor], source: Path, package: str) -> None:
    """Raise WeightsMissing that names the file, the keys that do not fit, what it holds instead and what to do."""
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    shapes = {f"{key} {found[key]} instead of {wanted[key]}" for key in wanted.keys() & found.keys()
              if wanted[key] != found[key]}
    faults = {"missing": wanted.keys() - found.keys(), "unexpected": found.keys() - wanted.keys(),
              "of another shape": shapes}
    told = [f"{len(keys)} {what}: {_named(sorted(keys))}" for what, keys in faults.items() if keys]
    if told:
        raise WeightsMissing(
            f"{source} does not hold the weights of {package}: it is {likeness(found)}. Of {len(wanted)} tensors "
            f"{'; '.join(told)}. Each transformer works with one autoencoder only, and each file with one "
            f"configuration: {_fetch(package)}"
        )


def _fetch(package: str) -> str:
    return f"get the right file with python -m core.cli download {package}"


def likeness(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What weights of these names and shapes probably are, in words."""
    if len(shapes.get("word_embed.weight", ())) == 2:
        dim, bits = shapes["word_embed.weight"]
        depth = sum(key.endswith(".ffn.fc1.weight") for key in shapes)
        same = [name for name, known in CONFIGS.items() if (known.dim, known.bits, known.depth) == (dim, bits, depth)]
        return f"a transformer of {depth} blocks, {dim} wide, for {bits} bits a token{_maybe(same)}"
    try:
        vae = vae_config_of(shapes)
    except (KeyError, IndexError, ValueError):
        pass
    else:
        same = [name for name, known in VAES.items() if known == vae]
        return f"an autoencoder of {vae.latent_channels} channels at 1/{vae.stride} size{_maybe(same)}"
    if any(key.startswith("encoder.block.0.layer.0.SelfAttention.") for key in shapes):
        return "a T5 text encoder"
    return f"none of Infinity's files (it begins with {_named(sorted(shapes))})"


def _maybe(names: list[str]) -> str:
    return f", as {' or '.join(names)}" if names else ""


def _named(keys: Iterable[str]) -> str:
    """The first few, and how many more."""
    keys = list(keys)
    return ", ".join(keys[:SHOWN]) + (f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else "")
