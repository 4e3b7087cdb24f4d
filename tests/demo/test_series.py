"""Repeats with other seeds: bands hold their curves, findings hedge, and only what is over can be repeated."""

import shutil
import time

import pytest
from fastapi.testclient import TestClient

from core.search.tree import Tree
from core.store.runs import RunStore
from demo import bands, strings
from demo.record import record
from demo.server import build_app
from tests.demo.test_settings import read
from tests.painted import painted_models


def points(*pairs):
    return [{"gflop": x, "nfe": 10 * x, "seconds": x / 10, "score": score} for x, score in pairs]


CURVES = [points((1, 0.1), (3, 0.5), (9, 0.5)), points((2, 0.2), (4, 0.3), (8, 0.3)), []]


@pytest.mark.parametrize("axis", bands.AXES)
def test_a_band_begins_where_all_have_begun_and_holds_every_curve(axis):
    band = bands.band(CURVES, axis)
    assert band["x"] == [points((x, 0))[0][axis] for x in (2, 3, 4, 8, 9)]
    assert band["low"] == [0.1, 0.2, 0.3, 0.3, 0.3] and band["high"] == [0.2, 0.5, 0.5, 0.5, 0.5]
    for low, mean, high in zip(band["low"], band["mean"], band["high"], strict=True):
        assert low <= mean <= high
    assert band["high"] == sorted(band["high"]), "the best so far never falls"


def test_no_finished_image_makes_no_band():
    assert bands.band([[], []], "nfe")["x"] == []


def test_what_seeds_say_is_clear_only_where_they_agree():
    labels = ("AR", "Diffusion")
    assert bands.finding(labels, [(1.0, 0.0)] * (bands.FEWEST - 1)) is None
    agreed = bands.finding(labels, [(0.5 + i / 100, 0.1) for i in range(8)])
    assert strings.CLEARLY.format(name="AR") in agreed and "ahead in 8 of 8" in agreed
    behind = bands.finding(labels, [(0.1, 0.5 + i / 100) for i in range(8)])
    assert strings.CLEARLY.format(name="Diffusion") in behind
    split = bands.finding(labels, [(0.5, 0.1), (0.1, 0.5)] * 4)
    assert strings.UNCLEAR in split and "95 % interval" in split


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    models, recorded = painted_models(), tmp_path_factory.mktemp("recorded")
    run, beside = record(models, RunStore(recorded), read())
    folders = [tmp_path_factory.mktemp("runs"), recorded]
    with TestClient(build_app(models, RunStore(folders[0]), [recorded])) as client:
        yield client, run, beside, folders


def test_a_comparison_is_repeated_with_other_seeds(server):
    client, run, *_ = server
    assert client.post("/data/repeat", json={"run": run, "seeds": 3}).json() == {"series": run}
    end = time.monotonic() + 60
    while (reply := client.get("/data/series", params={"id": run, "seeds": 3}).json())["done"] < 3:
        assert time.monotonic() < end, reply
        time.sleep(0.1)
    for lane in reply["lanes"]:
        assert lane["gflop"]["x"] and lane["gflop"]["low"] != lane["gflop"]["high"], "other seeds, other scores"
    again = client.post("/data/repeat", json={"run": run, "seeds": 3})
    assert again.json() == {"series": run}, "what was done is not done again"
    assert client.get("/data/series", params={"id": run, "seeds": 3}).json() == reply


def test_a_series_is_still_there_after_a_restart_and_goes_on(server):
    client, run, _, folders = server
    before = client.get("/data/series", params={"id": run}).json()
    assert before["done"] == 3, "as the test above left it"
    store = RunStore(folders[0])
    other = next(info.run for info in store.list() if info.beside)
    with TestClient(build_app(painted_models(), store, folders[1:])) as restarted:
        assert restarted.get("/data/series", params={"id": run}).json() == before
        assert restarted.get("/data/series", params={"id": other}).json()["done"] == 1, "a repeat is not repeated"
        shutil.rmtree(store.folder(other))  # one is gone: its seed is the next to be run again
        end = time.monotonic() + 60
        while (reply := restarted.get("/data/series", params={"id": run, "seeds": 3}).json())["done"] < 3:
            assert time.monotonic() < end, reply
            time.sleep(0.1)
        assert reply["lanes"][0]["gflop"] == before["lanes"][0]["gflop"], "the same seeds give the same band"


def test_what_ran_beside_it_runs_beside_the_repeats_too(server):
    """Other than the usual: with the usual one a band would mix two methods, or, for models of others, never come."""
    client, *_, folders = server
    asked = {"prompt": "a red car", "gflop": 60, "baseline": "zero_order"}
    run, store = client.post("/data/search", json=asked).json()["run"], RunStore(folders[0])
    end = time.monotonic() + 60
    while store.status(run) != "finished" or store.status(store.meta(run)["beside"]) != "finished":
        assert time.monotonic() < end
        time.sleep(0.1)
    assert client.post("/data/repeat", json={"run": run, "seeds": 2}).json() == {"series": run}
    while client.get("/data/series", params={"id": run, "seeds": 2}).json()["done"] < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    [repeat] = [info.run for info in store.list() if store.meta(info.run).get("series") == run and info.beside]
    assert Tree.of(store.load(store.meta(repeat)["beside"])).spec.strategy == "zero_order"


@pytest.mark.parametrize("seeds", [1, 9, 10**9, "8", 2.5, None, True])
def test_an_impossible_number_of_seeds_gets_a_sentence(server, seeds):
    client, run, *_ = server
    reply = client.post("/data/repeat", json={"run": run, "seeds": seeds})
    assert reply.status_code == 400 and "2 to 8" in reply.json()["error"]


def test_what_cannot_be_repeated_says_so(server):
    client, _, beside, _ = server
    assert client.post("/data/repeat", json={"run": beside, "seeds": 8}).json()["error"] == strings.NOT_REPEATED
    assert client.post("/data/repeat", json={"run": "no-such-run", "seeds": 8}).status_code == 404
    assert client.get("/data/series", params={"id": "no-such-run"}).status_code == 404
    for forged in ("1", "9", "x", "-3", "\u0663"):
        assert client.get("/data/series", params={"id": beside, "seeds": forged}).status_code == 400
    alone = client.get("/data/series", params={"id": beside, "seeds": 2})
    assert alone.status_code == 200 and alone.json()["done"] == 0
