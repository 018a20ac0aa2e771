"""What zeros leave of a compressed file: page and words come from the bytes that landed."""

import json
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.scripts import load_script

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
FOUND: dict[str, int] = json.loads((RESULTS / "zeros" / "bytes.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def zeros() -> ModuleType:
    return load_script("gzip_of_zeros")


def test_the_page_says_what_was_measured(zeros: ModuleType) -> None:
    page = (RESULTS / "zeros" / "zeros.md").read_text(encoding="utf-8")
    assert page == zeros.page(FOUND)
    assert "| half | 50 | 0.500 |" in zeros.page({"none": 100, "half": 50})


def test_the_table_on_pruning_says_what_was_measured() -> None:
    text = (RESULTS.parent / "optimize.md").read_text(encoding="utf-8")
    head, row = re.findall(r"^\| (?:zeros in each|of the compressed).*$", text, re.MULTILINE)
    shares = [cell.strip().replace(" %", "%") for cell in head.strip("|").split("|")][1:]
    told = [float(cell) for cell in row.strip("|").split("|")[1:]]
    names = [share if "of all" in share else f"{share} of each kernel" for share in shares]
    assert told == [round(FOUND[name] / FOUND["none"], 3) for name in names]


def test_the_smallest_go_by_kernel_or_by_one_threshold(zeros: ModuleType) -> None:
    small, large = np.float32([1, -2, 3, 4]), np.float32([10, -20, 30, 40])
    each = zeros.without_smallest([small, large], 0.5, together=False)
    assert [kernel.tolist() for kernel in each] == [[0, 0, 3, 4], [0, 0, 30, 40]]
    both = zeros.without_smallest([small, large], 0.5, together=True)
    assert [kernel.tolist() for kernel in both] == [[0, 0, 0, 0], [10, -20, 30, 40]]
