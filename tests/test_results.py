"""What README and docs/results.md say comes from the records that stand in docs/results/."""

import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from bench.record import CostRecord, Record, TrainingRecord, write_records
from bench.report_format import MINUS
from bench.report_input import read_for_report
from tests.bench.gate_records import FLOAT, INT8, judged, machine, timed
from tests.bench.test_report_crossval import crossval
from tests.bench.test_report_recipes import trained
from tests.scripts import load_script

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "docs" / "results"
FOLDERS = sorted(path.parent for path in RESULTS.glob("*/records.jsonl"))
EMPTY = "<!-- results: docs/results/{0} -->\n<!-- /results -->\n"
LINKED = re.compile(r"\]\(([^)]+)\)")


@pytest.fixture
def publish() -> ModuleType:
    return load_script("publish")


@pytest.fixture
def house(publish: ModuleType, tmp_path: Path) -> Path:
    """Return a repository that has a README with blocks for two plans and nothing else."""
    publish.REPOSITORY, publish.RESULTS = tmp_path, tmp_path / "docs" / "results"
    publish.PAGES = (tmp_path / "README.md", tmp_path / "docs" / "results.md")
    text = f"# House\n\n{EMPTY.format('first')}\nBetween.\n\n{EMPTY.format('second')}\nAfter.\n"
    publish.PAGES[0].write_text(text, encoding="utf-8")
    return tmp_path


def finished(house: Path, name: str, records: Sequence[Record]) -> tuple[str, str]:
    """Write a finished run and its plan; return the words that name them."""
    run, plan = house / "runs" / name, house / f"{name}.toml"
    run.mkdir(parents=True)
    write_records(run / "records.jsonl", records)
    plan.write_text(f'name = "{name}"\ntitle = "The {name} run"\n', encoding="utf-8")
    return str(run), str(plan)


def variants(**changes: str) -> list[Record]:
    return [
        *(judged("abc" * 5, "abc" * 5, name, **changes) for name in (FLOAT, INT8)),
        timed([4.0, 4.0], FLOAT, **changes),
        timed([2.0, 2.0], INT8, **changes),
    ]


def block_of(house: Path, name: str) -> str:
    text = (house / "README.md").read_text(encoding="utf-8")
    return text.partition(f"<!-- results: docs/results/{name} -->\n")[2].partition("<!-- /")[0]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_pages_say_what_the_records_say(publish: ModuleType, folder: Path) -> None:
    page = publish.page_of(folder)
    text = page.read_text(encoding="utf-8")
    assert publish.with_results(text, folder, publish.block(folder, page)) == text


def test_pages_say_what_all_records_say(publish: ModuleType) -> None:
    folder = RESULTS / "all"
    page = publish.page_of(folder)
    text = page.read_text(encoding="utf-8")
    records, _ = read_for_report(publish.whole_sources())
    assert publish.with_results(text, folder, publish.whole_block(records, folder, page)) == text
    (readme,) = publish.pages_with(folder, publish.CHOSEN)
    text, content = readme.read_text(encoding="utf-8"), publish.chosen_block(records)
    assert publish.with_results(text, folder, content, publish.CHOSEN) == text
    names = [line.split("|")[1] for line in content.splitlines() if line.startswith("| `")]
    assert readme.name == "README.md" and names == sorted(set(names))


@pytest.mark.parametrize(("part", "on"), [("costs", "README.md"), ("seeds", "results.md")])
def test_pages_say_what_networks_cost_and_what_seeds_do(
    publish: ModuleType, part: str, on: str
) -> None:
    found = [(page, folder) for folder in FOLDERS for page in publish.pages_with(folder, part)]
    assert [page.name for page, _ in found] == [on]
    for page, folder in found:
        text = page.read_text(encoding="utf-8")
        content = getattr(publish, f"{part}_block")(folder)
        assert publish.with_results(text, folder, content, part) == text


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_results_stand_with_plan_and_report(publish: ModuleType, folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert {"records.jsonl", "report.md", f"{folder.name}.toml"} <= names
    page = publish.page_of(folder)
    linked = LINKED.findall(publish.block(folder, page))
    assert linked and all((page.parent / link).is_file() for link in linked)


def test_a_missing_block_is_said_and_nothing_is_touched(publish: ModuleType, house: Path) -> None:
    with pytest.raises(
        SystemExit,
        match=r"neither README.md nor docs/results.md has a block .*third.* write both lines",
    ):
        publish.main(finished(house, "third", [machine(), *variants()]))
    assert not (house / "docs").exists()


def test_two_runs_land_side_by_side_and_again_from_their_records(
    publish: ModuleType, house: Path
) -> None:
    words = finished(house, "first", [machine(), *variants()])
    words += finished(house, "second", [machine(cpu="Another"), *variants()])
    publish.main(words)
    first = house / "docs" / "results" / "first"
    assert {path.name for path in first.iterdir()} == {
        "records.jsonl", "first.toml", "report.md", "f1-latency.png",
    }  # fmt: skip
    assert (first / "report.md").read_text(encoding="utf-8").startswith("# The first run\n")
    content = block_of(house, "first")
    # One split, one machine, one task: no columns for them; the float variant has no other one.
    assert content.startswith(
        "| variant | weighted F1 [95 %] | against float, points | median, ms | speed-up |\n"
        "|---|---:|---:|---:|---:|\n"
        "| `net.float.tflite` | 1.000 [1.000, 1.000] | n/a | 4.00 | n/a |\n"
    )
    assert "Timed on A CPU, 2 cores, 8.0 GiB, Linux 6 x86_64, with avx2; Python 3.11.7" in content
    assert "Timed on Another" in block_of(house, "second")
    before = (house / "README.md").read_text(encoding="utf-8")
    (first / "report.md").unlink()
    publish.PAGES[0].write_text(before.replace("4.00", "3.00"), encoding="utf-8")
    publish.main([])
    whole = (house / "docs" / "results" / "all" / "report.md").read_text(encoding="utf-8")
    assert whole.startswith("# Clothing articles: all landed runs\n") and "| Another |" in whole
    assert "docs/results/first/records.jsonl docs/results/second/records.jsonl" in whole
    assert (house / "README.md").read_text(encoding="utf-8") == before
    assert (first / "report.md").exists() and "Between." in before and "After." in before


def test_a_block_stands_on_the_page_that_has_room_for_it(publish: ModuleType, house: Path) -> None:
    page = house / "docs" / "results.md"
    page.parent.mkdir()
    page.write_text(
        f"# Results\n\n{EMPTY.format('third')}\n{EMPTY.format('all')}", encoding="utf-8"
    )
    before = (house / "README.md").read_text(encoding="utf-8")
    publish.main(finished(house, "third", [machine("one"), crossval(), *variants()]))
    text = page.read_text(encoding="utf-8")
    assert (house / "README.md").read_text(encoding="utf-8") == before
    assert "](results/third/report.md)" in text and "](results/all/report.md)" in text
    of_all = text.partition("docs/results/all -->\n")[2]
    assert of_all.startswith("| approach | classes | ") and "macro F1" not in of_all
    assert "| `custom-cnn` | 2 | " in of_all and "| 0.893 ± 0.146 |" in of_all
    page.write_text(text.replace("<!-- /results -->", ""), encoding="utf-8")
    with pytest.raises(SystemExit, match="is not closed"):
        publish.main([])


def test_a_run_of_recipes_says_what_each_part_was_worth(publish: ModuleType, house: Path) -> None:
    records = [machine(), *trained("cnn-baseline"), *trained("cnn-mixup", recipe={"mixup": 0.2})]
    records += [
        timed([4.0, 4.0], f"{name}.float.tflite", network_sha256=name)
        for name in ("cnn-baseline", "cnn-mixup")
    ]
    publish.main(finished(house, "first", records))
    content = block_of(house, "first")
    assert content.startswith("Recipes beside cnn-baseline, grouped split, 3 classes:\n\n")
    assert "| training | what was changed |" in content and "| variant |" not in content
    assert "| `cnn-mixup` | mixup: 0 → 0.2 |" in content and "f1-latency" not in content
    assert "one that holds 0 shows nothing" in content
    wider = [*records, *trained("wide", parameters=9_000_000)]  # another network: variants again
    publish.main(finished(house, "second", wider))
    assert "| variant |" in block_of(house, "second")


def test_costs_stand_in_a_block_of_their_own_where_a_page_has_one(
    publish: ModuleType, house: Path
) -> None:
    page = house / "README.md"
    blocks = "\n".join(EMPTY.format(f"{name} costs") for name in ("first", "second"))
    page.write_text(f"{page.read_text(encoding='utf-8')}\n{blocks}", encoding="utf-8")
    publish.main(finished(house, "first", [machine(), *trained("mobilenet-v2")]))
    content = block_of(house, "first costs")
    assert content.startswith("| network | input, px | FLOPs, 10⁶ | MACCs, 10⁶ |")
    assert content.count("| network |") == 1  # no layer was timed
    assert "| `mobilenet-v2` | " in content and "one MACC is two FLOPs" in content
    with pytest.raises(SystemExit, match="no record says what a network costs"):
        publish.main(finished(house, "second", [machine(), *variants()]))


def test_another_seed_is_a_run_of_its_own_and_no_part_of_the_whole(
    publish: ModuleType, house: Path
) -> None:
    words = finished(house, "first", [machine(), *variants()])
    run, plan = finished(house, "second", [machine(), *variants()])
    Path(plan).write_text('title = "The second run"\nseed = 1\n', encoding="utf-8")
    publish.main([*words, run, plan])
    assert [path.parent.name for path in publish.whole_sources()] == ["first"]
    whole = (house / "docs" / "results" / "all" / "report.md").read_text(encoding="utf-8")
    assert "\n5 records;" in whole  # the machine, two judged and two timed
    assert "| `net.float.tflite` |" in block_of(house, "second")


def test_what_variants_lose_stands_seed_by_seed_with_its_mean(
    publish: ModuleType, house: Path
) -> None:
    page = publish.PAGES[1]
    page.parent.mkdir()
    names = ("tries0", "tries1", "tries0 seeds")
    page.write_text("\n".join(map(EMPTY.format, names)), encoding="utf-8")
    words: list[str] = []
    for seed, answers in enumerate(("abc" * 5, "abc" * 4 + "acb")):
        records = [judged("abc" * 5, "abc" * 5, FLOAT), judged("abc" * 5, answers, INT8)]
        run, plan = finished(house, f"tries{seed}", [machine(), *records])
        Path(plan).write_text(f'title = "Try {seed}"\nseed = {seed}\n', encoding="utf-8")
        words += [run, plan]
    publish.main(words)
    text = page.read_text(encoding="utf-8").partition("docs/results/tries0 seeds -->\n")[2]
    lines = text.splitlines()
    assert lines[0] == "| variant | seed 0 | seed 1 | mean |"
    assert lines[2].startswith(f"| `net.int8.tflite` | 0.0 [0.0, 0.0] | {MINUS}13.3 [")
    assert lines[2].endswith(f" | {MINUS}6.7 |")


def test_a_run_of_folds_or_trainings_alone_lands_too(publish: ModuleType, house: Path) -> None:
    publish.main(finished(house, "first", [machine("one"), crossval()]))
    content = block_of(house, "first")
    assert content.startswith("| approach | folds | mean ± sd |")
    assert "Trained on A CPU" in content and "Timed" not in content and ".png" not in content
    alone = [one for one in trained("cnn") if not isinstance(one, CostRecord | TrainingRecord)]
    publish.main(finished(house, "second", [machine(), *alone]))
    content = block_of(house, "second")
    assert content.startswith("| variant | weighted F1 [95 %] |\n")  # no times, no sizes
    assert "Judged on A CPU" in content and "batch 1" not in content


def test_times_of_two_machines_are_told_apart(publish: ModuleType, house: Path) -> None:
    records: list[Record] = [machine(name * 16) for name in "efd"]
    records += [one for name in "efd" for one in variants(environment=name * 16)]
    publish.main(finished(house, "first", records))
    told = "times taken on A CPU (dddddddd), A CPU (eeeeeeee) and A CPU (ffffffff).\n"
    assert told in (house / "docs/results/first/report.md").read_text(encoding="utf-8")
    content = block_of(house, "first")
    assert content.startswith("| variant | machine | weighted F1 [95 %] |")
    assert "| `net.float.tflite` | A CPU (ffffffff) |" in content
    assert "Times of one machine are not to be compared with times of another." in content
