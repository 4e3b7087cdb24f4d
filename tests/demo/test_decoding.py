"""Pictures on demand: as the search would have made them, at a price that no comparison knows."""

import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from core.decoding import decoded
from core.search.errors import BadRequest
from core.search.events import Previewed, RunSpec, Scored
from core.search.search import Search
from core.search.tree import Tree
from core.store.runs import RunStore
from demo import strings
from demo.context import make_context
from demo.decoding import Decoder
from demo.embedded import embedded_models
from demo.limits import Rate
from demo.refusals import TooSoon
from demo.remote import inspect, snapshot
from tests.demo.test_family import BEAM
from tests.painted import painted_models
from tests.test_search import spec_of, verifiers
from tests.toy import ToyGenerator

SPEC = RunSpec("a red car", "painter", "beam_search", BEAM | {"look": "rollout"}, "warmth", (), 7)


def kept(store, models, display, spec=SPEC):
    search = Search(models.generator(spec.generator), models.verifiers_of(spec), spec, display=display)
    with store.create(spec) as writer:
        for event in search.run():
            writer.append(event)
    return writer.run


@pytest.fixture
def world(tmp_path):
    """(context, a run of which nothing was decoded to be looked at)."""
    models = painted_models()
    models.warm()
    spec = RunSpec("a red car", "noisy", "random_search", {"n": 2}, "warmth", (), 7)
    store = RunStore(tmp_path / "runs")
    run = kept(store, models, display=False, spec=spec)
    context = make_context(models, store, [])
    yield context, run
    context.runner.close()


@pytest.mark.parametrize("name, strategy, params", [("painter", "beam_search", BEAM | {"look": "rollout"}),
                                                    ("noisy", "random_search", {"n": 3})])
def test_the_picture_is_the_one_the_search_makes_of_that_node(name, strategy, params):
    models = painted_models()
    spec = RunSpec("a red car", name, strategy, params, "warmth", (), 7)
    events = list(Search(models.generator(name), models.verifiers_of(spec), spec, display=True).run())
    tree, seen = Tree.of(events), {}
    for event in events:
        seen |= event.images if isinstance(event, Previewed) else {}
    assert len(seen) > 10
    for id, image in seen.items():
        made, cost = decoded(models.generator(name), tree, tree.nodes[id])
        assert np.array_equal(made, image)
        assert cost.flops == cost.nfe == cost.decodes == 0 and cost.flops_display > 0


def test_of_the_embedded_model_it_is_the_same_but_for_a_rounding():
    """In a batch of another size sums are added in another order: at most one of 255 levels."""
    models = embedded_models()
    spec = RunSpec("two cats", "emoji-ar", "beam_search", {"width": 1, "branch": 2, "look": "preview"}, "aesthetic", ())
    events = list(Search(models.generator("emoji-ar"), models.verifiers_of(spec), spec).run())
    tree = Tree.of(events)
    seen = [item for event in events if isinstance(event, Scored) for item in event.images.items()]
    assert len(seen) >= 10
    for id, image in seen:
        made, _ = decoded(models.generator("emoji-ar"), tree, tree.nodes[id])
        assert np.abs(made.astype(int) - image).max() <= 1


def test_the_price_is_the_way_to_the_node_and_one_decoder_pass():
    generator = ToyGenerator()
    tree = Tree.of(Search(generator, verifiers(), spec_of("beam_search", BEAM)).run())
    node = next(node for node in tree.nodes.values() if node.step == 2)
    _, cost = decoded(generator, tree, node)
    assert cost.flops_display == 1e8 + 1e9 + 4e9 + 5e8


def test_what_is_decoded_is_kept_and_shown_and_changes_no_sum(world):
    context, run = world
    before = context.store.load(run)
    node = next(node for node in Tree.of(before).nodes.values() if node.step == 3)
    facts = inspect(context, {"run": run, "node": node.id})
    assert facts["image"] is None and facts["decode"]["gflop"] > 0
    told = context.decoder.decode(run, node.id)
    assert told == facts["decode"]
    facts = inspect(context, {"run": run, "node": node.id})
    assert facts["image"] == f"/t/{run}/{node.id}.jpg" and facts["decode"] is None
    assert "no part of the matched compute" in dict(facts["pairs"])["Decoded on demand"]
    picture = Image.open(BytesIO(context.store.image(run, node.id, "preview")))
    assert picture.size == (128, 128)
    assert context.store.load(run) == before
    assert snapshot(context, run)["lanes"][0]["decoded"] == [node.id]
    assert list(RunStore(context.store.root).decoded(run)) == [node.id]   # after a restart too
    with pytest.raises(BadRequest, match="nothing to decode"):
        context.decoder.decode(run, node.id)


@pytest.mark.parametrize("node", [0, 10**6, -1, "1", None, True, 1.0])
def test_what_has_no_picture_or_is_no_node_is_refused(world, node):
    context, run = world
    with pytest.raises(BadRequest):
        context.decoder.decode(run, node)


def test_a_recorded_run_is_left_as_it_is(world, tmp_path):
    context, run = world
    reading = make_context(context.models, RunStore(tmp_path / "own"), [context.store.root])
    files = sorted(context.store.folder(run).rglob("*"))
    reading.decoder.decode(run, 1)
    assert sorted(context.store.folder(run).rglob("*")) == files
    assert reading.decoder.picture(run, 1)[:2] == b"\xff\xd8"
    reading.runner.close()


def test_without_the_model_it_says_so(world):
    context, run = world
    del context.models.generators["noisy"]
    facts = inspect(context, {"run": run, "node": 1})
    assert facts["decode"] == {"refused": strings.NO_MODEL.format(name="noisy")}
    with pytest.raises(BadRequest, match="is not here"):
        context.decoder.decode(run, 1)


def test_a_state_that_is_none_of_the_models_is_refused_in_words(world, tmp_path):
    context, run = world
    log = context.store.folder(run) / "events.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        for node in line.get("nodes", []):
            node["state"] = "!!"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(BadRequest, match="cannot be read"):
        context.decoder.decode(run, 1)


def test_nobody_decodes_without_end(world):
    context, run = world
    decoder = Decoder(context.library, context.models, Rate(burst=2, seconds=100))
    for node in (1, 2):
        decoder.decode(run, node, "anna")
    with pytest.raises(TooSoon):
        decoder.decode(run, 3, "anna")
    decoder.decode(run, 3, "bert")
