"""What the README says comes from the records that stand in docs/results/."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "docs" / "results"
FOLDERS = sorted(path.parent for path in RESULTS.glob("*/records.jsonl"))


@pytest.fixture(scope="module")
def publish() -> ModuleType:
    spec = importlib.util.spec_from_file_location("publish", RESULTS / "publish.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_readme_says_what_the_records_say(publish: ModuleType, folder: Path) -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert publish.with_results(text, folder) == text


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_results_stand_with_plan_and_report(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert {"records.jsonl", "report.md", f"{folder.name}.toml", "f1-latency.png"} <= names


def test_a_missing_block_is_said(publish: ModuleType) -> None:
    with pytest.raises(SystemExit, match="has no block"):
        publish.with_results("# nothing here\n", RESULTS / "lite0")
