"""What a visitor sees when something is missing, slow or at an end, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from core.runs import RunStore
from tests.browser.serve import SHORT


@pytest.fixture(scope="module")
def short_run(address, folder):
    """The id of a recorded run that memory was too small for."""
    return next(info.run for info in RunStore(folder / "rec").list() if info.title == SHORT)


def test_a_run_out_of_memory_keeps_its_tree_and_offers_a_smaller_one(address, open_page, short_run):
    page = open_page(f"{address}/?run={short_run}")
    expect(page.locator(".bs-state")).to_have_text("out of memory at scale 6x6")
    expect(page.locator(".bs-notice")).to_contain_text("the tree so far is kept")
    expect(page.locator(".bs-nodes")).to_contain_text("61 nodes: 12 kept")
    page.get_by_role("button", name="Retry with width 2").click()
    page.wait_for_url(re.compile(r"run=(?!" + short_run + ")"))
    expect(page.locator(".bs-title")).to_contain_text(re.compile(SHORT + ".*width 2, branch 5.*seed 7"))
    expect(page.locator(".bs-state")).to_have_text("done")
    expect(page.locator(".bs-notice")).to_be_hidden()
    expect(page.get_by_role("button", name="Retry")).to_be_hidden()
