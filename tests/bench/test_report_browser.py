"""The page in a real browser, where one is installed: no fault, no request, sorting, filters."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.report import write_report
from tests.bench.gate_records import INT8, failed
from tests.bench.report_many import many_records
from tests.foreign import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report([*many_records(201), failed()], folder, title="In a browser")
    return folder / "report.html"


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=str)
def page(browser: Any, path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Yield the page, drawn; that it had nothing to complain of is asserted at the end."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    faults: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda one: faults.append(one.url) if "http" in one.url[:5] else None)
    page.goto(path.as_uri())
    page.wait_for_selector("#picture .chart svg")
    yield page
    assert faults == []
    context.close()


def column(page: Any, number: int) -> list[str]:
    cells = page.locator(f"#variants tbody tr:visible > :nth-child({number})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_the_page_fits_its_window(page: Any) -> None:
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    assert INT8 in page.locator("#picture .doubts").inner_text()


def test_tables_sort_by_mouse_and_keyboard_and_back(page: Any) -> None:
    before = column(page, 7)
    header = page.locator("#variants thead th").nth(6)
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in column(page, 7)] == sorted(float(text) for text in before)
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    values = [float(text) for text in column(page, 7)]
    assert values == sorted(values, reverse=True)
    header.get_by_role("button").press(" ")
    assert header.get_attribute("aria-sort") == "none" and column(page, 7) == before


def test_what_was_not_measured_stays_at_the_end(page: Any) -> None:
    button = page.locator("#variants thead th").nth(8).get_by_role("button")
    for _ in range(2):
        button.click()
        texts = column(page, 9)
        absent = texts.count("n/a")
        assert absent and texts[-absent:] == ["n/a"] * absent


def test_filters_hide_marks_and_rows(page: Any) -> None:
    shown = page.locator("#shown")
    every = len(column(page, 1))
    page.get_by_role("button", name="int8", exact=True).click()
    assert all(".int8." in name for name in column(page, 1))
    page.get_by_role("button", name="pruned", exact=True).press("Enter")
    names = column(page, 1)
    assert 0 < len(names) < every and all(".pruned.int8." in name for name in names)
    assert shown.inner_text() == f"{len(names)} of {every} marks shown"
    marks = "document.querySelectorAll('#picture .mark-symbol.role-mark path').length"
    page.wait_for_function(f"count => {marks} === count", arg=len(names))
    page.get_by_role("button", name="show all").click()
    assert len(column(page, 1)) == every


def test_a_table_is_copied_as_it_stands(page: Any) -> None:
    page.locator("#variants").get_by_role("button", name="Copy the table").click()
    page.get_by_text("Copied", exact=True).wait_for()
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[0].split("\t")[:3] == ["variant", "runtime", "split"]
    assert len(lines) == 1 + len(column(page, 1))
    assert {len(line.split("\t")) for line in lines} == {13}


def test_charts_within_details_are_drawn_once_opened(page: Any) -> None:
    details = page.locator("#mistakes details").first
    assert details.locator("svg").count() == 0
    details.locator("summary").press("Enter")
    details.locator("svg").first.wait_for()
