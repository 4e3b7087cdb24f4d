"""How models are loaded, and what is told meanwhile and when it fails."""

import threading
from collections import Counter
from dataclasses import replace
from weakref import ref

import gradio as gr
import pytest
import torch
from fastapi.testclient import TestClient

from core.packages.catalogue import package
from core.registry import Entry, Needs, Once
from core.search.errors import BeamscopeError, OutOfMemory, WeightsMissing
from core.store.runs import RunStore
from demo import layout, links, panel, settings, strings
from demo.server import build_app
from tests.demo.test_page import text_of
from tests.demo.test_settings import controls
from tests.demo.test_streaming import wait
from tests.painted import SCALES_ABILITIES, Painter, painted_models, with_strangers


@pytest.fixture
def gated():
    """(models, door): each model loads when the door is opened once more."""
    models, door = painted_models(), threading.Semaphore(0)

    def behind(entry):
        def load():
            assert door.acquire(timeout=20)
            return entry.load()

        return replace(entry, load=load)

    models.generators = {name: behind(entry) for name, entry in models.generators.items()}
    models.verifiers = {name: behind(entry) for name, entry in models.verifiers.items()}
    return models, door


def test_progress_names_each_model_in_turn_and_the_page_is_answered_meanwhile(gated, tmp_path):
    models, door = gated
    with TestClient(build_app(models, RunStore(tmp_path), [])) as client:
        for done, name in enumerate(["painter", "noisy", "warmth", "lightness"]):
            wait(lambda done=done: models.progress()["done"] == done)
            told = client.get("/data/models").json()
            assert (told["loading"], told["done"], told["of"], told["ready"]) == (name, done, 4, False)
            assert client.get("/readyz").status_code == 503
            assert text_of(layout.predicted(models, controls()[1:])) == strings.LOADING, "no request waits for models"
            door.release()
        wait(models.ready.is_set)
        assert client.get("/data/models").json() | {"seconds": 0} == {
            "ready": True, "problem": None, "loading": None, "done": 4, "of": 4, "seconds": 0}  # fmt: skip
        assert "Predicted" in text_of(layout.predicted(models, controls()[1:]))


@pytest.mark.parametrize("error, remedy", [
    (WeightsMissing("w is missing: fetch it with the repository"), "fetch it with the repository"),
    (ImportError("no module named open_clip"), "pip install -r requirements.txt"),
    (MemoryError(), "not enough memory to load the models. Close other programs"),
])
def test_models_that_do_not_load_are_told_with_what_to_do(error, remedy):
    models = painted_models()

    def fail():
        raise error

    models.verifiers = {**models.verifiers, "warmth": replace(models.verifiers["warmth"], load=fail)}
    models.warm()
    told = models.progress()
    assert not told["ready"] and str(error).split(":")[0] in told["problem"] and remedy in told["problem"]


def test_an_observer_that_does_not_load_is_left_out():
    models = painted_models()

    def fail():
        raise WeightsMissing("gone")

    models.verifiers = {**models.verifiers, "lightness": replace(models.verifiers["lightness"], load=fail)}
    models.warm()
    assert models.progress()["ready"] and models.broken == {"lightness": "gone"}


@pytest.fixture
def strangers(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(tmp_path / "models"))
    return with_strangers(painted_models())


def test_models_whose_weights_are_not_here_are_listed_with_the_reason_and_never_loaded(strangers):
    strangers.warm()
    assert strangers.problem is None and not strangers.broken
    named = {key: label for label, key in [*panel.model_choices(strangers, "generator"),
                                           *panel.guide_choices(strangers)]}  # fmt: skip
    assert named["giant"] == "giant · download 13.9 GB" and named["stern"] == "stern · download 13.9 GB"
    assert " · " not in named["painter"] and "rank:warmth+lightness" in named
    assert strangers.observers("painter", ()) == ("warmth", "lightness")
    assert layout.predicted(strangers, tuple(controls()[1:]))["lines"][0]["kind"] == "info"


@pytest.mark.parametrize("asked", ["m=giant", "v=stern", "j=stern", "v=zscore:warmth%2Bstern"])
def test_a_link_that_names_one_says_what_to_do(strangers, asked):
    key, value = asked.split("=")
    with pytest.raises(BeamscopeError) as caught:
        links.spec_of(strangers, {"p": "a dog", key: value.replace("%2B", "+")})
    said = str(caught.value)
    assert "is not on this machine yet: about 13.9 GB to fetch, licence CreativeML OpenRAIL++-M" in said
    assert f"python -m core.cli download {'giant' if key == 'm' else 'stern'}" in said


def test_choosing_one_and_searching_with_it_say_the_same_and_the_server_goes_on(strangers, tmp_path):
    [about, *_] = panel.show_model(strangers, "giant", ())
    assert "download giant" in about
    with TestClient(build_app(strangers, RunStore(tmp_path), [])) as client:
        wait(lambda: client.get("/readyz").status_code == 200)
        asked = {"prompt": "a dog", "model": "giant"}
        reply = client.post("/data/search", json=asked)
        assert reply.status_code == 400 and "download giant" in reply.json()["error"]
        assert client.post("/data/search", json={"prompt": "a dog", "gflop": 40}).status_code == 200


def test_a_reload_after_the_download_finds_the_model_ready(strangers, tmp_path):
    places = {name: 3 + settings.FIXED.index(name) for name in ("model", "verifier", "judge")}
    untouched = [gr.skip()] * (3 + len(settings.FIXED) + len(settings.parameter_names()) + 2)

    def labels():
        told = layout.with_choices(strangers, untouched)
        assert all("value" not in one for one in told)
        return {name: dict(map(reversed, told[place]["choices"])) for name, place in places.items()}

    assert labels()["model"]["giant"] == "giant · download 13.9 GB"
    for path in package("sdxl").needed:
        (tmp_path / "models" / "sdxl").mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / "sdxl" / path).write_bytes(b"x")
    found = labels()
    assert [found["model"]["giant"], found["verifier"]["stern"], found["judge"]["stern"]] == ["giant", "stern", "stern"]
    shown = layout.with_choices(strangers, [*untouched[:4], "painter", *untouched[5:]])[4]
    assert shown["value"] == "painter" and dict(map(reversed, shown["choices"]))["giant"] == "giant"


def test_a_model_that_finds_no_room_says_so_and_can_be_tried_again(strangers):
    tries = iter([torch.OutOfMemoryError("CUDA out of memory"), None])

    def load():
        if error := next(tries):
            raise error
        return Painter("big")

    big = Entry("big", Once(load), needs=Needs(parameters=1e6))
    models = replace(strangers, generators={**strangers.generators, "big": big})
    with pytest.raises(OutOfMemory, match="not enough memory to load this model beside those that are loaded"):
        models.generator("big")
    assert models.generator("big").name == "big"


class Large:
    """Stands for a model that takes much memory."""


@pytest.fixture
def crowd(monkeypatch):
    """Painters of 400 MB of weights, where 1 GB may be used; and how often each was loaded."""
    monkeypatch.setenv("BEAMSCOPE_MEMORY", "1GB")
    monkeypatch.setenv("BEAMSCOPE_DEVICE", "cpu")
    monkeypatch.setenv("BEAMSCOPE_DTYPE", "float32")
    models, loads = painted_models(), Counter()

    def entry(name):
        def load():
            loads[name] += 1
            return Large()

        return Entry(name, Once(load), SCALES_ABILITIES, needs=Needs(parameters=1e8))

    models.generators = {**models.generators, **{name: entry(name) for name in "abc"}}
    return models, loads


def test_the_large_model_that_was_unused_for_longest_makes_room(crowd):
    models, loads = crowd
    models.warm()
    for name in "abab":   # both fit
        models.generator(name)
    models.generator("a")
    gone, stays = ref(models.generator("b")), models.generator("a")
    models.generator("c")
    assert gone() is None and models.generator("a") is stays
    assert models.generator("b") and loads == {"a": 1, "b": 2, "c": 1}
    assert {"painter", "warmth"} <= {name for _, name in models._loaded}   # small ones stay


def test_a_model_that_a_run_uses_is_not_loaded_a_second_time(crowd):
    models, loads = crowd
    used = models.generator("a")
    for name in "bc":
        models.generator(name)
    assert models.generator("a") is used and loads["a"] == 1
