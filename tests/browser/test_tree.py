"""The tree and what surrounds it: branches, pictures on demand, comparing, focus, filter."""

from playwright.sync_api import expect

from tests.browser.test_page import finish, search

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
