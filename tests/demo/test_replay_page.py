"""The file that replays a run: all is inside, nothing in it is markup that was not written here."""

import json
import re
from html.parser import HTMLParser

import pytest

from core.store.runs import RunStore
from demo import remote
from demo.context import make_context
from demo.record import record
from demo.replay_page import replay_page
from tests.demo.test_settings import read
from tests.painted import painted_models

NASTY = "a red car </script><script>window.hit=1</script><!-- <img src=x onerror=window.hit=2> ${window.hit=3} ]]>"


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """(the file, the reply of which it was made)."""
    models, folder = painted_models(), tmp_path_factory.mktemp("recorded")
    run, _ = record(models, RunStore(folder), read(prompt=NASTY))
    context = make_context(models, RunStore(tmp_path_factory.mktemp("runs")), [folder])
    reply = remote.snapshot(context, run)
    yield replay_page(reply, context.library.lanes(run)), reply
    context.runner.close()


def inside(page):
    return json.loads(re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.S)[1])


def test_the_file_holds_every_frame_and_picture(page):
    file, reply = page
    data = inside(file)
    assert data["reply"]["lanes"] == json.loads(json.dumps(reply["lanes"]))
    for lane, stored in zip(reply["lanes"], data["lanes"], strict=True):
        best = lane["frames"][-1]["best"]["node"]
        assert stored["large"][str(best)].startswith("data:image/webp;base64,")
        assert len(stored["thumbs"]) > 50 and set(stored["thumbs"]) <= set(stored["why"])


def test_a_prompt_is_never_markup(page):
    tags = Tags(page[0]).found
    assert [tag for tag, _ in tags] == ["html", "head", "meta", "meta", "meta", "title", "style", "body", "main", "p",
                                        "script", "script"]
    assert inside(page[0])["reply"]["head"]["prompt"] == NASTY


def test_nothing_is_fetched(page):
    """Its policy forbids requests, and there is no address in it but the name of a drawing standard."""
    policy = next(attrs["content"] for tag, attrs in Tags(page[0]).found if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; img-src data:;")
    script = page[0].rpartition('<script type="module">')[2]
    assert not re.findall(r"^\s*import |^\s*export |fetch\(|XMLHttpRequest", script, re.M)
    assert set(re.findall(r"https?://[^\s\"']+", script)) == {"http://www.w3.org/2000/svg"}


def test_it_is_small_enough_to_be_sent(page):
    assert len(page[0]) < 10**6
