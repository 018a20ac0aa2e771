"""The page in a real browser, where one is installed: no fault, no request, sorting, filters.

axe-core, where it has been brought, looks for faults of accessibility.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.record import Record
from bench.report import write_report
from bench.report_content import Extras
from tests.bench import test_report_layers as layered
from tests.bench.axe_core import axe_script
from tests.bench.gate_records import INT8, failed
from tests.bench.report_many import many_records
from tests.bench.test_report_crossval import crossval
from tests.foreign import chromium

SCREENS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("report"), 201)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page with as many sections and fewer variants: axe-core looks at every mark."""
    return written(tmp_path_factory.mktemp("small"), 25)


def written(folder: Path, count: int) -> Path:
    """Write a page with every section; return its file."""
    records: list[Record] = [
        *many_records(count),
        failed(),
        failed(HOSTILE, reason=HOSTILE),
        crossval(labels=("Shirt", HOSTILE)),
        layered.FLOAT,
        layered.counted(layered.INT8, noise=1.0),
        layered.counted(layered.INT8_ONNX, noise=10.0),
    ]
    extras = Extras(old_records=many_records(count // 2), old=HOSTILE, under_ms=20.0)
    write_report(records, folder, title="In a browser", notes=[HOSTILE], extras=extras)
    return folder / "report.html"


@contextlib.contextmanager
def opened(browser: Any, path: Path, width: int, scheme: str) -> Iterator[Any]:
    """Yield the page, drawn; that it had nothing to complain of is asserted at the end."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    faults: list[str] = []
    asked: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda one: asked.append(one.url))
    page.goto(path.as_uri())
    page.wait_for_selector("#picture .chart svg")
    yield page
    assert faults == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    context.close()


@pytest.fixture(params=[SCREENS[0], SCREENS[-1]], ids=str)
def page(browser: Any, path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    with opened(browser, path, *request.param) as page:
        yield page


def column(page: Any, number: int) -> list[str]:
    cells = page.locator(f"#variants tbody tr:visible > :nth-child({number})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_the_page_fits_its_window(page: Any) -> None:
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    said = page.locator("#picture .doubts").inner_text()
    assert INT8 in said and HOSTILE in said


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


@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_axe_finds_no_serious_fault(browser: Any, small: Path, screen: tuple[int, str]) -> None:
    script = axe_script()
    with opened(browser, small, *screen) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        drawn = "document.querySelectorAll('.chart').length"
        page.wait_for_function(f"document.querySelectorAll('.chart svg').length === {drawn}")
        page.evaluate(script)
        found = page.evaluate("axe.run()")
        assert len(found["passes"]) > 20  # it did look
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []


def test_axe_finds_a_fault_where_there_is_one(browser: Any, small: Path) -> None:
    script = axe_script()
    with opened(browser, small, *SCREENS[0]) as page:
        page.add_style_tag(content="p { color: #999 !important }")
        page.evaluate(script)
        violations = page.evaluate("axe.run()")["violations"]
        assert "color-contrast" in [one["id"] for one in violations]


def test_captions_stay_in_view_of_wide_tables(browser: Any, path: Path) -> None:
    with opened(browser, path, 390, "light") as page:
        table = page.locator("#variants .scroll").first
        for left in (0, 10_000):
            table.evaluate("(one, left) => { one.scrollLeft = left }", left)
            caption, around = (
                one.bounding_box() for one in (table.locator("caption button"), table)
            )
            assert around["x"] <= caption["x"]
            assert caption["x"] + caption["width"] <= around["x"] + around["width"]
