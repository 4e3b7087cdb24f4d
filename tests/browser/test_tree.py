"""The tree and what surrounds it: branches, pictures on demand, comparing, focus, filter."""

import re

import pytest
from playwright.sync_api import expect

from core.search.events import RunSpec
from core.search.search import Search
from core.store.runs import RunStore
from tests.browser.test_page import AT_NODE, finish, search, search_long
from tests.painted import painted_models

COVERED = """() => [...document.querySelectorAll("#bs-panel input, #bs-panel button")].filter((control) => {
  const box = control.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  if (!box.width || y < 0 || y > innerHeight) return false;
  const top = document.elementFromPoint(x, y);
  return top !== control && !control.contains(top) && !top.contains(control);
}).map((control) => control.getAttribute("aria-label") || control.outerHTML)"""
CUT = "(one) => one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight"


def test_no_setting_is_covered_and_the_status_names_the_whole_run(address, open_page):
    page = open_page(address)
    for scroll in (0, 250, 500):
        page.evaluate("(y) => scrollTo(0, y)", scroll)
        assert page.evaluate(COVERED) == []
    prompt = "a striped blue hat to the left of a big green apple on a yellow background"
    search(page, prompt)
    page.wait_for_url("**/?run=*")
    finish(page)
    title = page.locator(".bs-title")
    expect(title).to_contain_text(prompt)
    expect(title).to_contain_text("seed 7")
    assert not title.evaluate(CUT)
    status = page.locator(".bs-status").bounding_box()
    assert title.bounding_box()["y"] + title.bounding_box()["height"] <= status["y"] + status["height"]


PLACES = """() => { const host = document.querySelector(".bs-plot"), box = host.getBoundingClientRect();
  const trace = host.data.at(-1), { xaxis, yaxis } = host._fullLayout;
  return Object.fromEntries(trace.customdata.map((id, i) => [id, [
    Math.round(box.x + scrollX + xaxis._offset + xaxis.d2p(trace.x[i])),
    Math.round(box.y + scrollY + yaxis._offset + yaxis.d2p(trace.y[i]))]])); }"""
STRANGER = {"locale": "en-GB"}  # a browser of its own: branches that others started are not seen there
GROWN = """(name) => beamscope.trees[0].drawn().filter((row) => row.branch === name).length"""


@pytest.fixture
def recorded_run(folder, address):
    """A recorded comparison, which every visitor may look at."""
    return next(info.run for info in RunStore(folder / "rec").list() if info.beside and not info.parent)


def inspect(page, id, lane=0):
    page.evaluate("([id, lane]) => beamscope.pick(id, lane, true)", [id, lane])
    expect(page.locator(".bs-inspector h2")).to_contain_text(f"Node {id} ")


def resume(page, id, lane):
    inspect(page, id, lane)
    page.locator(".bs-actions").get_by_role("button", name="Resume from here").click()
    dialog = page.locator(".bs-dialog[open]")
    dialog.get_by_label("Budget, GFLOP").fill("12")
    expect(dialog.locator(".bs-price")).to_contain_text("width 1")
    before = page.evaluate("beamscope.comparison.run")
    dialog.get_by_role("button", name="Go on").click()
    page.wait_for_function("(before) => beamscope.comparison && beamscope.comparison.run !== before", arg=before)
    finish(page)


def test_a_resumed_branch_grows_in_the_tree_it_was_pruned_from(address, open_page, recorded_run, browser):
    """Also: no old node moves; keys, table, inspector, address and time know the branch; another one is R3."""
    page = open_page(f"{address}/?run={recorded_run}")
    finish(page)
    old = page.evaluate(PLACES)
    resume(page, 23, 0)
    page.wait_for_function(f"({GROWN})('R2') > 15")
    now = page.evaluate(PLACES)
    moved = {id: at for id, at in old.items() if max(abs(a - b) for a, b in zip(at, now[id], strict=True)) > 1}  # px
    assert not moved
    tree = page.locator(".bs-plot")
    expect(tree).to_contain_text("R2")
    expect(page.locator(".bs-slot-tree .bs-lane")).to_contain_text("with R2")
    expect(page.locator(".bs-legend")).to_contain_text("resumed branch")
    assert page.evaluate("document.querySelector('.bs-plot').data.some((one) => one.line?.dash?.includes('px'))")
    page.evaluate("beamscope.pick(23, 1, false)")
    page.focus(".bs-plot")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".bs-inspector h2")).to_contain_text("R2 · Node")
    assert page.locator(".bs-path li").count() == 4, "the way there: prompt, two nodes of the earlier run, and it"
    page.wait_for_url(re.compile("node=[1-5]$|node=[1-5]&"))
    pressed = page.get_by_role("button", name="Table", exact=True)
    pressed.click()
    expect(page.locator(".bs-slot-tree caption")).to_contain_text("with R2")
    page.locator(".bs-slot-tree").get_by_role("button", name=re.compile("^Node")).click()
    page.get_by_role("button", name="Inspect node R2:3", exact=True).click()
    expect(page.locator(".bs-inspector h2")).to_contain_text("R2 · Node 3")
    pressed.click()
    page.get_by_role("slider", name="Step of the run").fill("10")
    assert page.evaluate(GROWN, "R2") == 0
    page.locator(".bs-title").click()
    page.keyboard.press("End")
    assert page.evaluate(GROWN, "R2") > 15
    page.wait_for_url(lambda link: "node=3" in link and "step=" not in link)
    named = page.url
    resume(page, 40, 1)
    expect(tree).to_contain_text("R3")
    assert page.evaluate(GROWN, "R2") > 15
    context = browser.new_context(reduced_motion="reduce")
    other = context.new_page()
    other.goto(named)
    finish(other)
    expect(other.locator(".bs-inspector h2")).to_contain_text("R2 · Node 3")
    expect(other.locator(".bs-plot")).to_contain_text("R2")
    expect(other.locator(".bs-plot")).not_to_contain_text("R3")  # this visitor did not start it
    context.close()


@pytest.fixture
def bare_run(folder, address):
    """A run of which the search decoded finished images only."""
    models, store = painted_models(), RunStore(folder / "runs")
    spec = RunSpec("a red car", "noisy", "random_search", {"n": 3}, "warmth", (), 7)
    with store.create(spec) as writer:
        for event in Search(models.generator("noisy"), models.verifiers_of(spec), spec, display=False).run():
            writer.append(event)
    return writer.run


def test_a_node_that_was_not_decoded_is_decoded_on_demand(address, open_page, bare_run):
    """It says the price first, and the picture stays; the compute that is compared does not change."""
    page = open_page(f"{address}/?run={bare_run}")
    finish(page)
    spent = page.locator(".bs-compute").inner_text()
    inspect(page, 5)
    expect(page.locator(".bs-missing")).to_contain_text("it was not decoded at this step")
    page.get_by_role("button", name=re.compile(r"Decode now \(\+1 decoder pass, 0\.\d+ GFLOP\)")).click()
    expect(page.locator(".bs-inspector img.bs-picture")).to_have_js_property("naturalWidth", 128)
    expect(page.locator(".bs-facts")).to_contain_text("no part of the matched compute")
    page.wait_for_function("beamscope.comparison.lanes[0].rows.get(5).image === 't'")
    shown = "document.querySelector('.bs-plot').layout.images.some((one) => one.source.includes('/5.jpg'))"
    page.wait_for_function(shown)
    assert page.locator(".bs-compute").inner_text() == spent
    page.reload()
    finish(page)
    inspect(page, 5)
    expect(page.locator(".bs-inspector img.bs-picture")).to_have_js_property("naturalWidth", 128)


def click(page, id, **how):
    page.mouse.move(5, 5)
    page.locator(".bs-plot").scroll_into_view_if_needed()
    if how.get("shift"):
        page.keyboard.down("Shift")
    page.mouse.click(*page.evaluate(AT_NODE, id))
    page.keyboard.up("Shift")


def test_any_node_is_pinned_as_b_and_compared(address, open_page, recorded_run):
    """By shift and a click, by a button, by a key; the labels say what is compared; x goes back."""
    page = open_page(f"{address}/?run={recorded_run}", **STRANGER)
    finish(page)
    looks = page.locator(".bs-looks")
    click(page, 23, shift=True)
    expect(page.locator(".bs-plot .annotation-text").filter(has_text="B")).to_have_count(1)
    expect(looks).to_contain_text("A · painter · beam search")
    expect(looks).to_contain_text("B · painter · node 23 · 2x2")
    page.evaluate("beamscope.pick(31, 0, true)")
    expect(looks).to_contain_text("A · painter · node 31 · 3x3")
    expect(page.locator(".bs-pinned")).to_contain_text(re.compile(r"A scores [+−]\d\.\d+ against B by warmth"))
    sources = page.locator(".bs-frame img").evaluate_all("(all) => all.map((one) => one.src.split('/').at(-1))")
    assert sources == ["31.jpg", "23.jpg"]
    page.get_by_role("button", name="Slider", exact=True).click()
    expect(page.locator(".bs-ends")).to_contain_text("node 31")
    expect(page.locator(".bs-ends")).to_contain_text("node 23")
    expect(page.get_by_role("button", name="Blind vote")).to_be_hidden()
    inspect(page, 40)
    page.get_by_role("button", name="Compare as B", exact=True).click()
    expect(page.locator(".bs-pinned")).to_contain_text("B · painter · node 40")
    page.evaluate("beamscope.pick(2, 1, false)")
    expect(page.locator(".bs-pinned")).to_contain_text("A · noisy · node 2")
    page.focus(".bs-plot-second")
    page.keyboard.press("b")
    expect(page.locator(".bs-pinned")).to_contain_text("B · noisy · node 2")
    page.get_by_role("button", name="Unpin B and show the best images again").click()
    expect(page.locator(".bs-pinned")).to_be_hidden()
    page.get_by_role("button", name="Side by side", exact=True).click()
    expect(looks).to_contain_text("painter · beam search")
    expect(looks).not_to_contain_text("B · ")


OPACITY = """() => { const trace = document.querySelector(".bs-plot").data.at(-1);
  return Object.fromEntries(trace.customdata.map((id, i) => [id, trace.marker.opacity[i]])); }"""
LINE = "(id) => [...beamscope.trees[0].lane.rows.values()].filter((row) => row.parent === id).map((row) => row.id)"


def bright(page):
    page.wait_for_timeout(150)
    return {int(id) for id, opacity in page.evaluate(OPACITY).items() if opacity > 0.2}


def test_a_double_click_focuses_a_subtree_and_there_are_ways_back(address, open_page, recorded_run):
    page = open_page(f"{address}/?run={recorded_run}", **STRANGER)
    finish(page)
    everything = bright(page)
    page.mouse.dblclick(*page.evaluate(AT_NODE, 9))
    chip = page.get_by_role("button", name="Whole tree", exact=True).first
    expect(page.locator(".bs-slot-tree .bs-focus")).to_contain_text("node 9 in focus")
    kept = bright(page)
    assert {0, 9, *page.evaluate(LINE, 9)} <= kept and 7 not in kept and len(kept) < len(everything)
    page.get_by_role("button", name="Table", exact=True).click()
    count = f"{len(kept)} of {len(kept)} nodes that match, 91 in all"
    expect(page.locator(".bs-slot-tree caption")).to_contain_text(count)
    page.get_by_role("button", name="Table", exact=True).click()
    page.wait_for_url(lambda link: "focus=9" in link and "table" not in link)
    page.reload()
    finish(page)
    expect(page.locator(".bs-slot-tree .bs-focus")).to_be_visible()
    assert bright(page) == kept
    chip.click()
    assert bright(page) == everything
    page.focus(".bs-plot")
    page.keyboard.press("f")
    expect(page.locator(".bs-slot-tree .bs-focus")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".bs-slot-tree .bs-focus")).to_be_hidden()
    assert bright(page) == everything


def test_while_a_run_goes_on_escape_stops_it_except_in_the_tree(address, open_page):
    page = open_page(address)
    search(page)
    page.wait_for_url("**/?run=*")
    page.wait_for_function("beamscope.comparison && beamscope.comparison.lanes[0].rows.size > 3")
    page.evaluate("beamscope.focus({ lane: 0, id: 1 })")
    page.focus(".bs-plot")
    page.keyboard.press("Escape")
    expect(page.locator(".bs-slot-tree .bs-focus")).to_be_hidden()
    assert page.evaluate("beamscope.comparison.live")
    page.evaluate("beamscope.focus({ lane: 0, id: 1 })")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    page.wait_for_selector(".bs-status[data-state=cancelled]")


ROW = {"id": 23, "x": 3, "score": 0.7, "rank": 1, "state": "pruned", "mark": "pin", "branch": "R2", "own": 4}
FILTER = """async ([text, row]) => { const { parseFilter } = await import("/page/filter.js");
  try { const holds = parseFilter(text);
    return holds && holds(row, { path: new Set([23]), steps: ["prompt", "1x1", "2x2", "3x3"] });
  } catch (error) { return error.message; } }"""


def test_the_filter_knows_its_words_and_teaches_them(address, open_page):
    page = open_page(f"{address}/gallery", ready="main")

    def holds(text, **changes):
        return page.evaluate(FILTER, [text, ROW | changes])

    for text in ("score>0.6", "score >= 0.7", "SCORE<0.71", "score=0.7", "scale:3", "scale:3x3", "step>2", "rank<=2",
                 "rank:2", "node:4", "pruned", "best", "pinned", "R2", "-kept", "-score>0.8",
                 "score>0.6 scale:3 pruned"):
        assert holds(text) is True, text
    for text in ("score>0.7", "scale:2", "scale:2x2", "rank:1", "node:23", "kept", "R3", "-pruned",
                 "pruned kept", "live"):
        assert holds(text) is False, text
    assert holds("score>-9", score=None) is False and holds("rank>0", rank=None) is False
    assert holds("kept", state="finished") is True
    assert holds("  ") is None
    assert holds("colour:red") == "There is no “colour” to filter by."
    assert holds("constructor") == "There is no “constructor” to filter by."
    assert "score>1" in holds("score") and "score>1" in holds("score>")
    assert holds("score>high") == "score is compared with a number, and “high” is none."


def test_the_filter_dims_counts_and_shortens_the_table(address, open_page, recorded_run):
    page = open_page(f"{address}/?run={recorded_run}", **STRANGER)
    finish(page)
    page.get_by_role("button", name="painter", exact=True).click()
    everything = bright(page)
    box = page.get_by_role("searchbox", name="Filter the nodes")
    box.fill("scale:3 pruned")
    expect(page.locator(".bs-filter-count")).to_have_text("12 of 91")
    assert len(bright(page)) == 12
    page.get_by_role("button", name="Table", exact=True).click()
    expect(page.locator(".bs-slot-tree tbody tr")).to_have_count(12)
    page.get_by_role("button", name="Table", exact=True).click()
    box.fill("nonsense>1")
    expect(page.locator(".bs-filter-help")).to_contain_text("There is no “nonsense” to filter by. Write score>0.6")
    assert bright(page) == everything
    box.fill("score>2.9")
    assert 0 < len(bright(page)) < len(everything)
    page.keyboard.press("Escape")
    expect(box).to_have_value("")
    assert bright(page) == everything


WAITING = "document.querySelector('.bs-plot .tracebs-waiting')"


@pytest.mark.parametrize("motion, pulses", [("reduce", False), ("no-preference", True)])
def test_candidates_that_are_being_decoded_are_hollow_and_pulse(address, open_page, motion, pulses):
    page = open_page(address, reduced_motion=motion)
    search_long(page)
    found = page.wait_for_function(f"""() => {{ const shade = {WAITING}; return shade && {{
        animation: getComputedStyle(shade).animationName, count: shade.querySelectorAll(".points path").length,
        pictures: document.querySelector(".bs-plot").layout.images.length }}; }}""").json_value()
    assert found["animation"] == ("bs-pulse" if pulses else "none")
    assert found["count"] >= 5
    page.keyboard.press("Escape")
    page.wait_for_selector(".bs-status[data-state=cancelled]")
    page.wait_for_function(f"!{WAITING}")


FAIRNESS = """async (head) => { const { fairness } = await import("/page/compare.js");
                return fairness({ planned_gflop: 12, earlier: true, ...head }, null, null); }"""


def test_of_a_resumed_run_that_has_not_begun_nothing_is_told_yet(address, open_page):
    page = open_page(address)
    assert page.evaluate(FAIRNESS, {"origin": None}) == ""
    assert "23" in page.evaluate(FAIRNESS, {"origin": {"node": 23}})
