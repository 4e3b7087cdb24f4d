"""The measurement of Infinity's speed, on a model so small that it takes no time: what it counts, and what it says."""

import json
from math import isfinite

import pytest
import torch

from core.evaluation import infinity_speed as speed
from core.models.infinity import cost
from core.models.infinity.checkpoint import load_transformer
from core.models.infinity.config import CONFIGS
from core.models.infinity.tiny import write_transformer
from core.models.infinity.vae import VAES, VaeConfig
from core.search.errors import OutOfMemory

TINY = CONFIGS["tiny"]


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch):
    monkeypatch.setitem(VAES, "tiny-vae", VaeConfig(8, (1, 1), 32))
    monkeypatch.setitem(speed.SIDE, "cpu", 64)


def measured(**settings):
    *_, found = speed.measure("tiny", "cpu", torch.float32, (1, 3), **settings)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_random_model_is_the_loaded_one_but_for_its_numbers(dtype, tmp_path):
    path = write_transformer(tmp_path / "one.pth", TINY)
    loaded = load_transformer(TINY, path, dtype=dtype).state_dict()
    generator = speed.random_infinity(TINY, "cpu", dtype)
    drawn = generator.model.state_dict()
    assert {key: (value.shape, value.dtype) for key, value in drawn.items()} == {
        key: (value.shape, value.dtype) for key, value in loaded.items()}
    state, latents = generator.start("x"), []
    for seed in range(generator.num_steps):
        [state] = generator.step([state], [seed])
        latents.append(state.total)
    share = torch.cat([bits.flatten() for bits in state.bits]).float().mean()
    assert torch.stack(latents).isfinite().all() and 0.1 < share < 0.9  # no number has run away


def test_every_scale_is_timed_and_its_flops_are_those_of_the_passes_made():
    found = measured()
    single, three = found["images"]["1"], found["images"]["3"]
    assert sum(single["step_flops"]) == cost.image_flops(TINY, speed.random_infinity(
        TINY, "cpu", torch.float32).schedule)
    assert three["step_flops"][0] == single["step_flops"][0]  # all images share the first pass
    assert three["step_flops"][1:] == [3 * flops for flops in single["step_flops"][1:]]
    for one in (single, three):
        assert all(seconds > 0 for seconds in [*one["step_seconds"], one["decode_seconds"]])
    total = sum(three["step_seconds"]) + three["decode_seconds"]
    assert three["seconds_per_image"] == pytest.approx(total / 3)
    assert found["matrix_peak"] > 0 and len(found["labels"]) == len(found["tokens"]) == 7


def test_a_beam_costs_what_its_ledger_says_and_a_rollout_more():
    found = measured(looks=("preview", "rollout"), width=2, branch=2)["beams"]
    assert found["preview"]["worth_images"] < found["rollout"]["worth_images"]
    assert found["preview"]["nfe"] == 7 * 4 < found["rollout"]["nfe"]
    assert all(isfinite(one["seconds"]) and one["forecast_bytes"] > 0 for one in found.values())


def test_the_forecast_grows_with_the_batch_by_what_candidates_hold():
    generator = speed.random_infinity(TINY, "cpu", torch.float32)
    one, five = speed.forecast(generator, 1), speed.forecast(generator, 5)
    last = generator.num_steps - 1
    assert one == generator.weights_bytes + max(
        *(generator.plan.held(step) + generator.plan.passing(step) for step in range(last + 1)),
        generator.decode_bytes)
    assert five - one >= 4 * min(generator.plan.held(last), generator.decode_bytes)


def test_what_does_not_fit_is_said_and_the_rest_goes_on(monkeypatch):
    real = speed.images

    def refuse(generator, device, count, rounds):
        if count > 1:
            raise OutOfMemory("3 candidates do not fit")
        return real(generator, device, count, rounds)

    monkeypatch.setattr(speed, "images", refuse)
    found = measured(looks=("preview",), width=1, branch=1)
    assert found["images"]["3"] == {"too_large": "3 candidates do not fit"} and found["beams"]["preview"]
    assert "Batch 3: 3 candidates do not fit" in speed.page({"tiny": found})


def test_the_page_that_is_shown_is_made_of_the_figures_that_are_kept():
    assert speed.FILE.with_suffix(".md").read_text() == speed.page(json.loads(speed.FILE.read_text()))


def test_figures_stand_beside_those_of_other_models_and_machines(tmp_path):
    path, first = tmp_path / "results" / "speed.json", measured(looks=("preview",), width=1, branch=1)
    speed.keep(first, path)
    speed.keep(first | {"images": {"9": first["images"]["3"]}, "beams": {}}, path)  # another batch of the same
    speed.keep(first | {"model": "infinity-2b"}, path)
    speed.keep(first | {"machine": first["machine"] | {"dtype": "bfloat16"}}, path)
    kept = json.loads(path.read_text())
    assert [key.partition(" on ")[0] for key in kept] == ["tiny", "infinity-2b", "tiny"]
    assert list(next(iter(kept.values()))["images"]) == ["1", "3", "9"] and next(iter(kept.values()))["beams"]
    page = path.with_suffix(".md").read_text()
    assert page.count("## ") == 3 and "| 16x16 | 256 |" in page and "width 1, branch 1, preview" in page
