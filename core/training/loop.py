"""What every trainer shares: options, a resumable loop timed in minutes, averaged weights, export with a card.

A trainer brings a model, a batch for every step and a loss. The learning rate follows the share of `--minutes`
that is spent, so a run fits the time that is there on any machine and still ends on a small rate.

Many cores are used best by a process each: `torchrun --nproc-per-node 4 -m core.training.NAME --threads 1` shares the
batch out and averages the gradients; the first process saves, prints and exports.
"""

import argparse
import copy
import itertools
import json
import math
import multiprocessing
import os
import platform
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from core.models.weights import save_weights, sha256
from core.world.sprites import cache_folder


@dataclass
class Options:
    """What a trainer's command line says."""

    name: str
    minutes: float
    batch: int
    lr: float
    device: str = "cpu"
    seed: int = 0
    threads: int = 0  # 0: as many as torch likes
    workers: int = 0  # processes that make the data; 0: a thread
    fresh: bool = False
    initial: Path | None = None  # weights to start from where there is no checkpoint
    compile: bool = False
    half: int = 0  # 1: the model is computed in bfloat16 where that is safe; weights and loss never are
    processes: int = 1
    out: Path = Path("assets/weights")
    extra: dict = field(default_factory=dict)

    @property
    def checkpoint(self) -> Path:
        return cache_folder() / "training" / f"{self.name}.pt"


def options(name: str, description: str, minutes: float, batch: int, lr: float, **extra) -> Options:
    """Parse the common options; `extra` adds trainer-specific ones with their defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=minutes, help="training time, earlier runs included")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes that sample scenes (for a GPU; 0: a thread)")
    parser.add_argument("--fresh", action="store_true", help="start anew even if a checkpoint is there")
    parser.add_argument("--initial", type=Path, help="weights (safetensors) of the same shape to begin with")
    parser.add_argument("--out", type=Path, default=Path("assets/weights"))
    parser.add_argument("--compile", action="store_true", help="compile the model: a minute's wait, then quicker")
    parser.add_argument("--half", type=int, choices=(0, 1), default=0, help="1: compute in bfloat16; quicker where the "
                        "processor knows it")
    for key, value in extra.items():
        parser.add_argument(f"--{key.replace('_', '-')}", type=type(value), default=value)
    found = vars(parser.parse_args())
    if found["threads"]:
        torch.set_num_threads(found["threads"])
    if "WORLD_SIZE" in os.environ:  # under torchrun
        dist.init_process_group("gloo")
    torch.set_float32_matmul_precision("high")  # TF32 where there is such a thing
    torch.backends.cudnn.allow_tf32 = True
    return Options(name=name, extra={key: found.pop(key) for key in extra}, processes=processes(), **found)


def process() -> int:
    """The number of this process among those that train together; the first, 0, saves and exports."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """How many train together, under torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


@dataclass
class Progress:
    """How far a training is; what a checkpoint holds besides weights."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    averages: dict[str, float] = field(default_factory=dict)

    def note(self, logs: dict[str, float]) -> None:
        for key, value in logs.items():
            self.averages[key] = 0.9 * self.averages.get(key, value) + 0.1 * value


Batch = Callable[[random.Random, int], object]  # made ahead while the model works; scenes and words, no pixels
Loss = Callable[[nn.Module, object, torch.Generator], tuple[Tensor, dict[str, float]]]


def ahead(make: Callable, jobs: Iterable[tuple], workers: int = 0) -> Iterator:
    """make(*job) for every job in order, made ahead by a thread or by `workers` processes.

    With processes `make` must be a function of a module, and cheap to send to them.
    """
    spawn = multiprocessing.get_context("spawn")  # forking a process that holds a GPU is not allowed
    with ProcessPoolExecutor(workers, spawn) if workers else ThreadPoolExecutor(1) as pool:
        jobs, waiting = iter(jobs), deque()
        try:
            for job in itertools.islice(jobs, 2 * workers + 1):
                waiting.append(pool.submit(make, *job))
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(pool.submit(make, *job) for job in itertools.islice(jobs, 1))
                yield done
        finally:
            pool.shutdown(cancel_futures=True)


def train(
    model: nn.Module, batch: Batch, loss: Loss, opt: Options, decay: float = 0.05, ema: float = 0.999,
    parts: Callable[[nn.Module], Iterable[nn.Module]] = lambda model: [model],
    kept: Callable[[nn.Module], nn.Module] = lambda model: model,
):
    """Train for `opt.minutes`, resuming from the checkpoint if there is one. Returns (averaged model, Progress).

    `parts`: those of the model that the loss calls, where it does not call the whole. What needs no gradient stays.
    `kept`: what a weights file holds of the model, where heads of an auxiliary task are left out of it.
    Returns in the first process only: the others end here.
    """
    model.to(opt.device)
    if opt.initial:
        load_file_into(kept(model), opt.initial)
    averaged = copy.deepcopy(model).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(_groups(model, decay), lr=opt.lr, betas=(0.9, 0.95))
    progress = Progress()
    if opt.checkpoint.exists() and not opt.fresh:
        _load(opt.checkpoint, model, averaged, optimizer, progress)
    model.train()
    for part in parts(model) if opt.half else ():
        _halve(part, opt.device)
    called = torch.compile(model, dynamic=False) if opt.compile else model
    share_of_batch = opt.batch // processes()
    batches = ahead(batch, ((_rng(opt, step), share_of_batch) for step in itertools.count(progress.step)), opt.workers)
    saved = started = time.time()
    before = progress.seconds
    while (share := progress.seconds / (60 * opt.minutes)) < 1:
        data = next(batches)
        _set_rate(optimizer, opt.lr, progress.step, share)
        noise = torch.Generator(opt.device).manual_seed(opt.seed * 1_000_003 + progress.step + process() * 500_000)
        value, logs = loss(called, data, noise)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        progress.seconds = before + _together(model, time.time() - started)
        _update(model, averaged, optimizer, min(ema, (1 + progress.step) / (10 + progress.step)))
        progress.step += 1
        progress.images += share_of_batch * processes()
        if progress.step % 10 == 0:  # reading a number makes a GPU wait
            progress.note({"loss": float(value.detach())} | {key: float(item) for key, item in logs.items()})
        if progress.step % 50 == 0 and not process():
            _print(opt, progress)
        if time.time() - saved > 120 and not process():
            saved = time.time()
            _save(opt.checkpoint, model, averaged, optimizer, progress)
    batches.close()
    if process():
        raise SystemExit(0)
    if dist.is_initialized():
        dist.destroy_process_group()  # what follows is done alone
    _save(opt.checkpoint, model, averaged, optimizer, progress)
    return averaged, progress


def _halve(model: nn.Module, device: str) -> None:
    """From now on the model's forward pass is computed in bfloat16 where that is safe, and answers in float32."""
    forward = model.forward

    def halved(*inputs):
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            answers = forward(*inputs)
        return tree_map_only(Tensor, Tensor.float, answers)

    model.forward = halved


def load_file_into(model: nn.Module, path: Path) -> None:
    """Begin with the weights of `path`, all of them; a warm start, said in the card."""
    try:
        stored = load_file(path)
        tensors = {key: value.float() if value.is_floating_point() else value for key, value in stored.items()}
        model.load_state_dict(tensors, strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise SystemExit(
            f"--initial {path}: no weights of this model ({said}). Allowed: a safetensors file that this trainer's "
            "export wrote, with every tensor of the same shape. Leave the option out to begin with random weights."
        ) from None


def _rng(opt: Options, step: int) -> random.Random:
    number = f":{process()}" if process() else ""
    return random.Random(f"{opt.name}:{opt.seed}:{step}{number}")  # the data of a step depends on nothing else


def _groups(model: nn.Module, decay: float) -> list[dict]:
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _set_rate(optimizer, peak: float, step: int, share: float) -> None:
    warm = min(1.0, (step + 1) / 200)
    for group in optimizer.param_groups:
        group["lr"] = peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(share, 1))))


def _together(model: nn.Module, seconds: float) -> float:
    """Average the gradients over all processes, and `seconds`, so that all of them stop at the same step."""
    if processes() == 1:
        return seconds
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), torch.tensor([seconds])])
    dist.all_reduce(flat)
    flat /= processes()
    for gradient, mean in zip(gradients, flat.split([*map(Tensor.numel, gradients), 1])[:-1], strict=True):
        gradient.copy_(mean.view_as(gradient))
    return float(flat[-1])


def _update(model, averaged, optimizer, ema: float) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 1 - ema)
        for slow, fast in zip(averaged.buffers(), model.buffers(), strict=True):
            slow.copy_(fast)


def _print(opt: Options, progress: Progress) -> None:
    numbers = " ".join(f"{key} {value:.4f}" for key, value in progress.averages.items())
    rate = progress.images / max(progress.seconds, 1e-9)
    minutes = progress.seconds / 60
    print(f"{opt.name} step {progress.step} min {minutes:.1f}/{opt.minutes} {rate:.1f} img/s {numbers}", flush=True)


def _save(path: Path, model, averaged, optimizer, progress: Progress) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = {"model": model.state_dict(), "averaged": averaged.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(parts | {"progress": vars(progress)}, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def _load(path: Path, model, averaged, optimizer, progress: Progress) -> None:
    found = torch.load(path, weights_only=True, map_location="cpu")
    model.load_state_dict(found["model"])
    averaged.load_state_dict(found["averaged"])
    optimizer.load_state_dict(found["optimizer"])
    vars(progress).update(found["progress"])


def load_averaged(model: nn.Module, opt: Options) -> Progress:
    """Load the averaged weights of the last checkpoint, to export without training on."""
    found = torch.load(opt.checkpoint, weights_only=True, map_location="cpu")
    model.load_state_dict(found["averaged"])
    return Progress(**found["progress"])


def export(model: nn.Module, opt: Options, progress: Progress, config: dict, metrics: dict, about: str) -> None:
    """Write NAME.safetensors (fp16), NAME.json (facts) and NAME.md (the card) into `opt.out`."""
    opt.out.mkdir(parents=True, exist_ok=True)
    begun = f"weights {sha256(opt.initial)[:12]}" if opt.initial else "random weights"  # they may be what is replaced
    sha = save_weights(model, opt.out / f"{opt.name}.safetensors", config)
    facts = {
        "name": opt.name, "about": about, "config": config, "sha256": sha,
        "parameters": sum(p.numel() for p in model.parameters()),
        "data": "emoji scenes composed on the fly (core/world), Microsoft Fluent Emoji artwork (MIT)",
        "seed": opt.seed, "steps": progress.step, "images_seen": progress.images, "batch": opt.batch, "lr": opt.lr,
        "minutes": round(progress.seconds / 60, 1), "hardware": hardware(opt),
        "command": f"python -m core.training.{opt.name} --minutes {opt.minutes:g} --seed {opt.seed}"
        + " --half 1" * opt.half + "".join(f" --{name} {value}" for name, value in opt.extra.items()),
        "started_from": begun,
        "training": {key: round(value, 4) for key, value in progress.averages.items()},
        "metrics": metrics,
    }  # fmt: skip
    (opt.out / f"{opt.name}.json").write_text(json.dumps(facts, indent=1) + "\n")
    (opt.out / f"{opt.name}.md").write_text(card(facts))


def hardware(opt: Options) -> str:
    """The device in words."""
    if opt.device.startswith("cuda"):
        return torch.cuda.get_device_name(0)
    threads = opt.processes * torch.get_num_threads()
    kind = "bfloat16" if opt.half else "float32"
    return f"{threads} threads of a {os.cpu_count()}-core {platform.machine()} CPU, {kind}"


def card(facts: dict) -> str:
    """A model card in Markdown from the facts of one training."""
    rows = [(key, facts[key]) for key in facts if key not in ("name", "about", "metrics", "training", "config")]
    lines = [f"# {facts['name']}", "", facts["about"], "", "| fact | value |", "|---|---|"]
    lines += [f"| {key.replace('_', ' ')} | {value} |" for key, value in rows]
    lines += ["", f"Configuration: `{json.dumps(facts['config'])}`", "", "| metric | value |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in (facts["metrics"] | facts["training"]).items()]
    return "\n".join([*lines, "", f"Sample sheet: `{facts['name']}.png`, made by the same command.", ""])
