"""What a visitor does, in a real browser."""

import re
import time

import pytest
from playwright.sync_api import expect

from core.search.strategies.registry import unsupported
from demo import strings
from tests.painted import NOISE_ABILITIES

PROMPT = "a red car to the left of a green apple"
AT_NODE = """(id) => {
  const host = document.querySelector(".bs-plot"), box = host.getBoundingClientRect();
  const trace = host.data.at(-1), index = trace.customdata.indexOf(id), layout = host._fullLayout;
  return [box.x + layout.xaxis._offset + layout.xaxis.d2p(trace.x[index]),
          box.y + layout.yaxis._offset + layout.yaxis.d2p(trace.y[index])];
}"""
NODES = "() => { const host = document.querySelector('.bs-plot'); return host.data ? host.data.at(-1).x.length : 0; }"
NEWEST = """(step) => { const trace = document.querySelector(".bs-plot").data.at(-1);
  return Math.max(...trace.customdata.filter((id, i) => trace.x[i] === step)); }"""
ARC_PEAKS = """() => { const host = document.querySelector(".bs-plot"), top = Math.min(...host._fullLayout.yaxis.range);
  return [0, 3].flatMap((arcs) => { const found = []; let arc = [];
    for (const y of host.data[arcs].y) {
      if (y === null) { found.push([Math.min(...arc), Math.min(...arc) >= top]); arc = []; } else arc.push(y);
    }
    return found; }); }"""
FADED = """() => { const trace = document.querySelector(".bs-plot").data.at(-1);
  return trace.customdata.filter((id, i) => trace.marker.opacity[i] < 1); }"""


def search(page, prompt=PROMPT):
    page.fill("#bs-prompt input, #bs-prompt textarea", prompt)
    page.click("#bs-search")


def choose(page, box, name):
    """Pick from a dropdown, as a person does."""
    page.click(f"{box} input")
    page.get_by_role("option", name=name, exact=True).click()
    expect(page.locator(f"{box} input")).to_have_value(name)


def search_long(page):
    """Start a search that gives time to look at it while it runs."""
    budget = page.get_by_label("number input for Budget")
    budget.fill("400")
    budget.press("Enter")
    choose(page, "#bs-panel .column:visible >> .block:has(span:text-is('Look: what the verifier judges'))",
           "rollout, finished (the paper)")
    search(page)
    page.wait_for_url("**/?run=*")


def finish(page):
    page.wait_for_selector(".bs-status[data-state=done]")
    page.wait_for_function("(" + NODES + ")() > 0")
    expect(page.locator("#bs-stop")).to_be_disabled(timeout=15_000)  # the run beside it may take longer


def drawn(page):
    return page.evaluate(NODES)


VISIBLE = """() => { const host = document.querySelector(".bs-plot"), trace = host.data.at(-1);
  const inside = (value, axis) => Math.min(...axis.range) < value && value < Math.max(...axis.range);
  const { xaxis, yaxis } = host._fullLayout;
  return trace.customdata.find((id, i) => id && inside(trace.x[i], xaxis) && inside(trace.y[i], yaxis)); }"""


def drag_box(page):
    box = page.locator(".bs-plot").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 260, steps=5)
    page.mouse.up()
    page.wait_for_timeout(400)  # a click right after would count as the second of a double click


def click_node(page, id):
    page.mouse.click(*page.evaluate(AT_NODE, id))


@pytest.fixture(scope="module")
def finished_run(address, browser):
    """The id of a run that is over."""
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector(".bs-plot")
    search(page)
    page.wait_for_url("**/?run=*")
    finish(page)
    run = re.search(r"run=([a-z0-9-]+)", page.url)[1]
    page.close()
    return run


def test_type_search_and_the_tree_grows_step_by_step(address, open_page):
    """Also: the first node is there soon, on a busy machine too, and both lanes end with a picture."""
    page = open_page(address)
    page.wait_for_function("(" + NODES + ")() > 0")  # the recorded run is being replayed
    page.fill("#bs-prompt input, #bs-prompt textarea", PROMPT)
    began = time.monotonic()
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => /^Run/.test(document.querySelector('.bs-title').textContent)")
    page.wait_for_function("(" + NODES + ")() > 0")
    assert time.monotonic() - began < 5
    expect(page.locator("#bs-stop")).to_be_enabled()
    sizes = set()
    while page.locator(".bs-status[data-state=done]").count() == 0:
        sizes.add(drawn(page))
        assert time.monotonic() - began < 20
    assert len(sizes) >= 5, f"the tree was seen with {sorted(sizes)} nodes only"
    page.wait_for_function(f"({FADED})().length == 72")
    assert drawn(page) == 91
    for picture in page.locator(".bs-frame img").all():
        expect(picture).to_have_js_property("naturalWidth", 128)
    expect(page.locator(".bs-status")).to_contain_text("91 nodes: 18 kept, 72 pruned")
    expect(page.locator(".bs-results")).to_contain_text("equal total FLOPs")


def test_a_click_on_a_pruned_node_says_why(address, open_page, finished_run):
    page = open_page(f"{address}/?run={finished_run}")
    finish(page)
    id = page.evaluate(FADED)[20]
    click_node(page, id)
    inspector = page.locator(".bs-inspector")
    expect(inspector.locator("h2")).to_contain_text(f"Node {id}")
    expect(inspector.locator(".bs-why")).to_contain_text(re.compile(r"Pruned: ranked \d+ of 15 at .*short by"))
    expect(inspector).to_contain_text("warmth (guides)")
    expect(inspector).to_contain_text("lightness")
    assert "pruned" in inspector.locator("img.bs-picture").get_attribute("alt")


def test_a_chart_of_single_points_says_why(address, open_page, finished_run):
    page = open_page(f"{address}/?run={finished_run}")
    finish(page)
    chart = page.locator(".bs-chart")
    expect(chart).to_contain_text("no image is finished before the last step")
    low, high = page.evaluate("document.querySelector('.bs-chart')._fullLayout.yaxis.range")
    best = page.evaluate("document.querySelector('.bs-chart').data.map((lane) => lane.y.at(-1))")
    assert low < min(best) and max(best) < high


def test_the_tree_can_be_walked_with_the_keyboard(address, open_page, finished_run):
    page = open_page(f"{address}/?run={finished_run}")
    finish(page)
    page.focus(".bs-plot")
    heading = page.locator(".bs-inspector h2")
    for key, shown in [("Home", "Prompt"), ("ArrowRight", "step 1"), ("ArrowDown", "step 1"), ("End", "step 6"),
                       ("ArrowLeft", "step 5"), ("Enter", "step 5")]:  # fmt: skip
        page.keyboard.press(key)
        expect(heading).to_contain_text(shown)


def test_hovering_shows_a_card_and_a_zoom_survives_a_click(address, open_page, finished_run):
    page = open_page(f"{address}/?run={finished_run}")
    finish(page)
    page.mouse.move(*page.evaluate(AT_NODE, 3))
    expect(page.locator("section[aria-label='Search tree'] .bs-card")).to_be_visible()
    expect(page.locator("section[aria-label='Search tree'] .bs-card")).to_contain_text("Node 3")
    expect(page.locator("section[aria-label='Search tree'] .bs-card img")).to_have_js_property("naturalWidth", 128)
    drag_box(page)
    zoomed = page.evaluate("document.querySelector('.bs-plot')._fullLayout.xaxis.range")
    assert zoomed[1] - zoomed[0] < 6
    id = page.evaluate(VISIBLE)
    click_node(page, id)
    expect(page.locator(".bs-inspector h2")).to_contain_text(f"Node {id}")
    assert page.evaluate("document.querySelector('.bs-plot')._fullLayout.xaxis.range") == zoomed


def test_stop_keeps_what_there_is(address, open_page):
    page = open_page(address)
    search(page)
    page.wait_for_selector(".bs-status[data-state=running]")
    expect(page.locator(".bs-nodes")).to_contain_text(re.compile(r"^(1[6-9]|[2-9]\d) nodes"))
    page.keyboard.press("Escape")
    page.wait_for_selector(".bs-status[data-state=cancelled]")
    expect(page.locator(".bs-state")).to_have_text("stopped")
    expect(page.locator("#bs-stop")).to_be_disabled()
    page.wait_for_function("(" + NODES + ")() < 91")
    assert drawn(page) >= 16


def test_a_reload_and_a_second_tab_show_the_same_run_live(address, open_page):
    page = open_page(address)
    search(page)
    page.wait_for_url("**/?run=*")
    other = open_page(page.url)
    page.reload()
    for tab in (page, other):
        finish(tab)
        expect(tab.locator(".bs-title")).to_contain_text(PROMPT)
        expect(tab.locator("#bs-prompt input, #bs-prompt textarea")).to_have_value(PROMPT)
        tab.wait_for_function("(" + NODES + ")() == 91")


def test_the_first_visit_replays_a_recorded_run(address, open_page):
    page = open_page(address, reduced_motion="no-preference")
    expect(page.locator(".bs-title")).to_contain_text("Recorded run")
    expect(page.locator("#bs-hint")).to_contain_text(strings.FIRST_VISIT)
    page.wait_for_function("(" + NODES + ")() > 0")
    assert drawn(page) < 91
    assert "run=" not in page.url
    still = open_page(address)
    finish(still)
    still.get_by_role("slider", name="Step of the run").fill("6")
    expect(still.locator(".bs-place")).to_contain_text("step 6 of")
    still.wait_for_function("(" + NODES + ")() < 91")


def test_markup_and_template_syntax_in_a_prompt_are_text(address, open_page):
    nasty = "a red car <img src=x onerror=window.hit=1> ${window.hit=2} {{window.hit=3}}"
    page = open_page(address)
    search(page, nasty)
    finish(page)
    expect(page.locator(".bs-title")).to_contain_text(nasty)
    expect(page.locator("#bs-hint")).to_contain_text("onerror")
    assert page.evaluate("window.hit") is None
    page.reload()
    finish(page)
    assert page.evaluate("window.hit") is None
    expect(page.locator("#bs-prompt input, #bs-prompt textarea")).to_have_value(nasty)


def test_a_forged_run_id_gets_a_sentence(address, open_page):
    page = open_page(f"{address}/?run=../<script>window.hit=1</script>")
    expect(page.locator("#bs-hint")).to_contain_text(strings.UNKNOWN_RUN)
    assert page.evaluate("window.hit") is None
    page.fill("#bs-prompt input, #bs-prompt textarea", PROMPT)
    expect(page.locator("#bs-search")).to_be_enabled()


def test_known_words_and_impossible_settings_are_told_in_place(address, open_page):
    page = open_page(address)
    page.fill("#bs-prompt input, #bs-prompt textarea", "a red car at sunset")
    expect(page.locator("#bs-hint")).to_contain_text(re.compile("knows: .*red, car"))
    expect(page.locator("#bs-hint")).to_contain_text("does not know: sunset")
    expect(page.locator("#bs-estimate")).to_contain_text("Predicted:")
    width = page.get_by_label("number input for Width")
    width.fill("16")
    width.press("Enter")
    expect(page.locator("#bs-estimate .bs-line-error")).to_contain_text("the largest width that fits is")
    page.click("#bs-search")
    expect(page.locator("#bs-hint .bs-line-error")).to_contain_text("the largest width that fits is")
    choose(page, "#bs-strategy", "Greedy tokens")
    expect(page.get_by_label("number input for Width")).to_be_hidden()
    choose(page, "#bs-strategy", "Beam search")
    expect(page.get_by_label("number input for Width").first).to_have_value("16")


def test_the_model_decides_which_strategies_work_and_what_is_drawn(address, open_page):
    """A pair that does not work is refused in the very words of the registry; arcs lead back into noise."""
    page = open_page(address)
    choose(page, "#bs-model", "noisy")
    expect(page.locator("#bs-strategy input")).to_have_value("Beam search (other models)")
    reason = unsupported("beam_search", "noisy", NOISE_ABILITIES)
    expect(page.locator("#bs-estimate .bs-line-error")).to_have_text(reason)
    search(page)
    expect(page.locator("#bs-hint .bs-line-error")).to_have_text(reason)
    choose(page, "#bs-strategy", "Zero-order")
    expect(page.locator("#bs-estimate")).to_contain_text("Predicted:")
    search(page)
    page.wait_for_url("**/?run=*")
    finish(page)
    expect(page.locator(".bs-title")).to_contain_text("noisy · Zero-order, neighbours 2, rounds 6, closeness 0.95")
    expect(page.locator(".bs-plot")).to_contain_text("t11")
    expect(page.locator(".bs-legend")).to_contain_text("back into noise")
    click_node(page, page.evaluate(NEWEST, 1))
    expect(page.locator(".bs-inspector")).to_contain_text("varying the first noise of node")
    page.reload()
    for box, name in [("#bs-model", "noisy"), ("#bs-strategy", "Zero-order")]:
        expect(page.locator(f"{box} input")).to_have_value(name)


def test_arcs_are_above_the_nodes(address, open_page):
    page = open_page(address)
    choose(page, "#bs-model", "noisy")
    choose(page, "#bs-strategy", "Search over paths")
    search(page)
    page.wait_for_url("**/?run=*")
    finish(page)
    peaks = page.evaluate(ARC_PEAKS)
    assert len(peaks) >= 6
    for peak, inside in peaks:
        assert peak < 0 and inside


def test_a_number_that_may_be_off_is_a_field_that_may_be_empty(address, open_page):
    page = open_page(address)
    choose(page, "#bs-strategy", "Adaptive beam")
    stop = page.get_by_label("Stop: at this score")
    expect(stop).to_have_attribute("placeholder", "off")
    expect(stop).to_have_value("")
    stop.fill("999")
    expect(page.locator("#bs-estimate .bs-line-error")).to_have_text(
        "Stop 999 is impossible: it is a number from -100 to 100, or off")
    stop.fill("")
    expect(page.locator("#bs-estimate")).to_contain_text("Predicted:")


def test_a_search_that_ends_early_is_not_called_equal(address, open_page):
    page = open_page(address)
    choose(page, "#bs-strategy", "Adaptive beam")
    page.get_by_label("Stop: at this score").fill("-99")
    budget = page.get_by_label("number input for Budget")
    budget.fill("400")
    budget.press("Enter")
    choose(page, "#bs-panel .column:visible >> .block:has(span:text-is('Look: what the verifier judges'))",
           "rollout, finished (the paper)")
    expect(page.locator("#bs-estimate")).to_contain_text("of 400,")
    search(page)
    page.wait_for_url("**/?run=*")
    finish(page)
    expect(page.locator(".bs-results")).to_contain_text(re.compile(r"ended early, after [\d.]+ of [\d.]+ GFLOP"))


def test_a_baseline_that_could_not_spend_it_all_is_not_called_equal(address, open_page):
    """One image of the search costs 4.2 GFLOP, of the baseline 2.6: a second one would be too much."""
    page = open_page(address)
    choose(page, "#bs-strategy", "Random search")
    images = page.get_by_label("number input for Images to choose from")
    images.fill("1")
    images.press("Enter")
    expect(page.locator("#bs-estimate")).to_contain_text("1 image,")
    search(page)
    page.wait_for_url("**/?run=*")
    finish(page)
    expect(page.locator(".bs-results")).to_contain_text(re.compile(r"at most [\d.]+ GFLOP each, and whole images only"))


def test_a_judge_chooses_among_the_finalists(address, open_page):
    page = open_page(address)
    page.click("#bs-advanced button.label-wrap")
    page.get_by_label("Judge: chooses among the best").click()
    page.get_by_role("option", name="lightness", exact=True).click()
    expect(page.locator("#bs-estimate")).to_contain_text("lightness chooses among the 4 best finished images.")
    search(page)
    page.wait_for_url("**/?run=*")
    finish(page)
    expect(page.locator(".bs-figure").first).to_contain_text(re.compile(r"lightness \d.*warmth \d"))
    page.focus(".bs-plot")
    page.keyboard.press("End")
    expect(page.locator(".bs-inspector")).to_contain_text("lightness (judges)")


def test_a_resumed_run_says_where_it_comes_from_and_leads_there(address, open_page, resumed_run):
    page = open_page(f"{address}/?run={resumed_run}")
    finish(page)
    expect(page.locator(".bs-origin")).to_contain_text(re.compile(r"from node 40 of an earlier run: .* its result"))
    page.focus(".bs-plot")
    page.keyboard.press("Home")
    expect(page.locator(".bs-inspector h2")).to_have_text("Prompt")
    page.keyboard.press("End")
    expect(page.locator(".bs-inspector h2")).to_contain_text("R2 · Node")
    expect(page.locator(".bs-inspector img.bs-picture")).to_have_js_property("naturalWidth", 128)
    page.click(".bs-origin a")
    finish(page)
    page.wait_for_function("(" + NODES + ")() == 91")
    expect(page.locator(".bs-origin")).to_be_hidden()


def test_the_estimate_stays_in_sight(address, open_page):
    page = open_page(address, 1440, 800)
    choose(page, "#bs-strategy", "Diverse beam")
    expect(page.locator("#bs-estimate")).to_contain_text("Predicted:")
    box = page.locator("#bs-estimate").bounding_box()
    assert box["y"] > 0 and box["y"] + box["height"] <= 800
    assert page.evaluate("document.querySelector('#bs-panel').getBoundingClientRect().bottom") > 800


@pytest.mark.parametrize("width, height", [(1024, 768), (390, 844)])
def test_smaller_screens_have_room(address, open_page, finished_run, width, height):
    """No sideways scrolling; the tree, the status and the controls are there; a tap opens the inspector."""
    phone = {"has_touch": True, "is_mobile": True} if width < 500 else {}
    page = open_page(f"{address}/?run={finished_run}", width, height, **phone)
    finish(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for part in ("#bs-search", "#bs-prompt", ".bs-status", ".bs-plot", ".bs-chart", ".bs-looks"):
        expect(page.locator(part)).to_be_visible()
    page.locator(".bs-plot").scroll_into_view_if_needed()
    at = page.evaluate(AT_NODE, 4)
    page.touchscreen.tap(*at) if phone else page.mouse.click(*at)
    expect(page.locator(".bs-inspector")).to_be_visible()
    expect(page.locator(".bs-why")).to_be_visible()
    for button in page.locator("button:visible").all():
        box = button.bounding_box()
        assert box["width"] >= 24 and box["height"] >= 24, button.inner_text()
