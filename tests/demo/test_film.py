"""A run as a film: every picture is of its size, the last one shows the result, however long the run."""

import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from core.search.events import TERMINAL
from core.store.runs import RunStore
from demo import film, studio
from demo.context import make_context
from demo.film_frame import SIZE, Scenery
from demo.record import record
from demo.refusals import TooSoon
from demo.studio import Studio
from tests.demo.test_settings import read
from tests.painted import painted_models


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """(context, id of a recorded comparison, its scenery, the events of its lanes)."""
    models, folder = painted_models(), tmp_path_factory.mktemp("recorded")
    run, _ = record(models, RunStore(folder), read())
    context = make_context(models, RunStore(tmp_path_factory.mktemp("runs")), [folder])
    lanes = context.library.lanes(run)
    for lane in lanes:
        lane.update()
    yield context, run, Scenery(lanes, ["one", "two"]), [lane.store.load(lane.run) for lane in lanes]
    context.runner.close()


@pytest.mark.parametrize("most", [1, 2, 7, 48, 10_000])
def test_moments_are_evenly_spread_and_end_with_the_end(shown, most):
    lanes = shown[3]
    trees = list(film.moments(lanes, most))
    assert len(trees) == min(most, sum(map(len, lanes)))
    assert all(isinstance(tree.end, TERMINAL) for tree in trees[-1])
    sizes = [sum(len(tree.nodes) for tree in pair) for pair in trees]
    assert sizes == sorted(sizes)


def test_pictures_show_the_tree_as_it_grows(shown):
    scenery, lanes = shown[2:]
    pictures = [scenery.draw(trees) for trees in film.moments(lanes, 6)]
    assert {picture.size for picture in pictures} == {SIZE}
    inked = [(np.asarray(picture)[80:470, 24:664] < 250).any(axis=2).sum() for picture in pictures]
    assert inked == sorted(inked) and inked[-1] > 2 * inked[0]


def test_all_formats_hold_the_whole_run(shown):
    scenery, lanes = shown[2:]
    with Image.open(io.BytesIO(film.animated_webp(scenery, lanes))) as moving:
        assert 10 < moving.n_frames <= film.MOST and moving.size == film.SMALL and moving.info["loop"] == 0
    with Image.open(io.BytesIO(film.gif(scenery, lanes))) as small:
        assert 10 < small.n_frames <= film.FEW and small.size == film.TINY and small.info["loop"] == 0
        small.seek(small.n_frames - 1)
        shown_last, drawn_last = (np.asarray(image.convert("RGB").resize(film.TINY), float) for image in (
            small, scenery.draw(list(film.moments(lanes))[-1])))  # fmt: skip
        assert abs(shown_last - drawn_last).mean() < 12, "its colours are those of the result"
    data = film.mp4(scenery, lanes)
    assert data[4:8] == b"ftyp" and data.index(b"moov") < data.index(b"mdat"), "it can be played while it is fetched"
    assert len(data) < 2**21


def test_without_an_encoder_the_other_format_is_named(shown, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(film.BadRequest, match="animated WebP"):
        film.mp4(*shown[2:])


def test_a_film_is_made_once_and_one_at_a_time(shown, monkeypatch):
    context, run, *_ = shown
    made, begun, go = [], threading.Event(), threading.Event()

    def slowly(_scenery, _events):
        made.append(1)
        begun.set()
        assert go.wait(10)
        return b"film"

    monkeypatch.setitem(studio.FILMS, "replay.mp4", slowly)
    monkeypatch.setattr(studio, "IN_LINE", 2)
    films = Studio(context)
    askers = [threading.Thread(target=films.film, args=("replay.mp4", run, "")) for _ in range(2)]
    for asker in askers:
        asker.start()
    assert begun.wait(10)
    end = time.monotonic() + 10
    while films._line._value:   # until the second waits at the door
        assert time.monotonic() < end
        time.sleep(0.01)
    with pytest.raises(TooSoon, match="films"):
        films.film("replay.mp4", run, "")
    go.set()
    for asker in askers:
        asker.join(10)
    assert films.film("replay.mp4", run, "") == b"film" and len(made) == 1
