"""What leaves the page and what enters it, in a real browser."""

import io
import re
import zipfile
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image
from playwright.sync_api import expect

from core.store.result_png import spec_in
from core.store.runs import RunStore
from tests.browser.axe import findings

PROMPT = "a red car to the left of a green apple"
DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.querySelector(".bs-plot").dispatchEvent(
      new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
}"""


@pytest.fixture(scope="module")
def run(address, folder):
    """The id of a recorded comparison."""
    return next(info.run for info in RunStore(folder / "rec").list() if info.beside and not info.parent)


@pytest.fixture
def page(address, open_page, run):
    page = open_page(f"{address}/?run={run}")
    page.wait_for_selector(".bs-status[data-state=done]")
    page.wait_for_function("document.querySelector('.bs-plot').data")
    page.set_default_timeout(30_000)   # films and pictures of trees take a while on a busy machine
    return page


def saved(page, name):
    """The bytes of the file that a button of the dialog saves."""
    with page.expect_download() as download:
        page.click(f".bs-share-file[data-file='{name}']")
    assert download.value.suggested_filename.endswith(name)
    with open(download.value.path(), "rb") as file:
        return file.read()


def drop(page, name, data):
    import base64

    page.evaluate(DROP, [name, base64.b64encode(data).decode()])


def test_a_link_leads_to_what_is_on_screen(page, address, run):
    page.get_by_role("slider", name="Step of the run").fill("9")
    page.click(".bs-share-open")
    link = page.get_by_label("Link to what you see", exact=True).input_value()
    assert link.startswith(f"{address}/?run={run}") and parse_qs(urlsplit(link).query)["step"] == ["9"]
    page.goto(link)
    expect(page.locator(".bs-place")).to_contain_text("step 9 of")


def test_a_program_can_be_copied(page, address):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click(".bs-share-open")
    page.get_by_role("button", name="Copy: Repeat it from Python").click()
    expect(page.get_by_role("button", name="Copy: Repeat it from Python")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f"Client('{address}')" in copied and repr(PROMPT) in copied and "/search_tree" in copied


def test_a_link_brings_the_settings(page):
    page.click(".bs-share-open")
    link = page.get_by_label("Link to the settings", exact=True)
    expect(link).to_have_value(re.compile(r"/\?p="), timeout=20_000)
    page.goto(link.input_value())
    expect(page.locator("#bs-prompt input, #bs-prompt textarea")).to_have_value(PROMPT)
    expect(page.locator(".bs-title")).to_contain_text("No run yet")


def test_a_result_and_a_tree_can_be_saved(page):
    page.click(".bs-share-open")
    assert spec_in(saved(page, "result.png")).prompt == PROMPT
    svg = saved(page, "tree.svg").decode()
    assert svg.startswith("<svg") and svg.count("data:image/jpeg") > 50 and "green apple" in svg
    assert not re.findall(r'href="(?!data:|#)', svg), "an address is left in it"
    tree = Image.open(io.BytesIO(saved(page, "tree.png")))
    assert tree.width > 1000 and len(tree.getcolors(2**24)) > 5000, "the pictures are in it"


def test_a_replay_needs_no_server(page, browser, tmp_path):
    """Opened from the disk: the tree grows again, a click tells why, and nothing at all is asked for."""
    page.click(".bs-share-open")
    (tmp_path / "replay.html").write_bytes(saved(page, "replay.html"))
    context = browser.new_context(offline=True, reduced_motion="reduce")
    alone, asked, wrong = context.new_page(), [], []
    alone.on("request", lambda request: asked.append(request.url))
    alone.on("pageerror", lambda error: wrong.append(str(error)))
    alone.goto((tmp_path / "replay.html").as_uri())
    expect(alone.get_by_role("heading", level=1)).to_contain_text(PROMPT)
    nodes = alone.locator(".tree").first.locator(".node")
    expect(nodes).to_have_count(91)
    alone.get_by_role("slider").fill("8")
    assert 1 < nodes.count() < 91
    alone.keyboard.press("End")
    expect(nodes).to_have_count(91)
    alone.locator("[data-id='40']").first.click()
    expect(alone.locator(".detail")).to_contain_text(re.compile(r"Pruned: ranked \d+ of 15"))
    expect(alone.locator(".figures img").first).to_have_js_property("naturalWidth", 128)
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"} and not wrong
    assert sum(url.startswith("file:") for url in asked) == 1
    context.close()


def test_a_run_that_is_dropped_on_the_page_opens(page, run):
    page.click(".bs-share-open")
    data = saved(page, "run.zip")
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    page.keyboard.press("Escape")
    drop(page, "run.zip", data)
    page.wait_for_url(lambda url: "run=" in url and run not in url)
    page.wait_for_selector(".bs-status[data-state=done]")
    expect(page.locator(".bs-title")).to_contain_text(PROMPT)
    expect(page.locator(".bs-nodes")).to_contain_text("91 nodes")


def test_what_cannot_be_opened_is_told_and_the_run_stays(page):
    drop(page, "evil.zip", b"PK no run at all, only words that look a little like one")
    expect(page.locator(".bs-notice")).to_contain_text("This is no run.zip")
    expect(page.locator(".bs-drop")).to_be_hidden()
    expect(page.locator(".bs-status")).to_contain_text("91 nodes")


def test_the_dialog_is_left_with_escape_and_the_search_goes_on(page):
    page.focus(".bs-share-open")
    page.keyboard.press("Enter")
    expect(page.locator(".bs-share")).to_be_visible()
    page.evaluate("document.querySelector('#bs-stop').addEventListener('click', () => (window.stopped = true))")
    page.keyboard.press("Escape")
    expect(page.locator(".bs-share")).to_be_hidden()
    assert page.evaluate("window.stopped") is None
    assert page.evaluate("document.activeElement.className") == "bs-share-open"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_shuts_anybody_out_of_sharing_and_replays(address, open_page, browser, run, tmp_path, scheme):
    page = open_page(f"{address}/?run={run}", color_scheme=scheme)
    page.wait_for_selector(".bs-status[data-state=done]")
    page.click(".bs-share-open")
    expect(page.get_by_label("Link to the settings", exact=True)).to_be_visible(timeout=20_000)
    assert findings(page) == []
    (tmp_path / "replay.html").write_bytes(saved(page, "replay.html"))
    for width in (1440, 320):
        alone = open_page((tmp_path / "replay.html").as_uri(), width, 800, ready=".node", color_scheme=scheme)
        alone.locator("[data-id='1']").first.click()
        assert findings(alone) == []
        assert alone.evaluate("document.documentElement.scrollWidth") <= width


def test_the_title_tells_how_the_run_ended(page):
    assert re.fullmatch(r"✓ \d\.\d\d · a red car to the left of a green apple · Beamscope", page.title())
