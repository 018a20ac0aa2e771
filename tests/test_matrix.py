"""The page of the runs of the whole matrix, out of records made here; and what is measured."""

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from bench.record import LatencyRecord, LayerTimesRecord, Record, write_records
from bench.record_layers import OperatorTimes
from tests.bench.gate_records import failed, machine, timed
from tests.scripts import load_script

NAMES = ("net.float.tflite", "net.int8.tflite", "net.mixed.tflite")


@pytest.fixture(scope="module")
def matrix() -> ModuleType:
    return load_script("matrix")


def layers(variant: str, share: float) -> LayerTimesRecord:
    """Return a record whose one operator takes ``share`` of a call."""
    return LayerTimesRecord(
        variant=variant,
        split_method="grouped",
        environment="e" * 16,
        runtime="litert 2.3.0",
        threads=2,
        calls_us=(100.0,),
        latencies_us=(100.0,),
        optimized={},
        inserted={},
        fused={},
        operators=(
            OperatorTimes(
                name="a", operator="CONV_2D", engine="xnnpack", kernels=("k",), sources=("a",),
                times_us=(100.0 * share,),
            ),
        ),
    )  # fmt: skip


def run(*ms: float, share: float) -> list[Record]:
    times: list[LatencyRecord] = [
        timed([each] * 10, name) for name, each in zip(NAMES, ms, strict=True)
    ]
    return [machine(), *times, layers(NAMES[0], share), failed("net.odd.int8.tflite")]


def test_the_page_says_what_the_runs_say(matrix: ModuleType, tmp_path: Path) -> None:
    # The third's times spread: of ten turns ranks 2 and 9, 8 and 12 of 10, are 20 % to a side.
    spread = timed(
        [8.0] * 5 + [12.0] * 5, NAMES[2], warnings=("the median is only known to within 20%",)
    )
    first = [*run(10.0, 5.0, 10.0, share=0.98)[:3], spread, layers(NAMES[0], 0.98), failed()]
    write_records(tmp_path / "first.jsonl", first)
    write_records(tmp_path / "second.jsonl", run(20.0, 10.4, 20.0, share=1.02))
    write_records(tmp_path / "third.jsonl", run(10.0, 5.5, 10.0, share=1.0))
    seconds = {"first.jsonl": 600, "second.jsonl": 630, "third.jsonl": 570}
    (tmp_path / "seconds.json").write_text(json.dumps(seconds))
    page = matrix.page(tmp_path)
    assert "beside it. Runtimes were given 2 threads. Times are" in page
    assert "| first | 10.0 | 3 | 1 | 2 | 1 of 1 |" in page
    assert "| second | 10.5 | 3 | 1 | 3 | 0 of 0 |" in page
    # Factors 2, 2.08 and 2: the int8 one moved by 4 % against either; by 10 % to the third run.
    which = "`net.int8.tflite` against `net.float.tflite`"
    assert f"| first, second | litert 2.3.0 | 3 | 3 | 3 | 4.0% | {which} |" in page
    assert f"| first, third | litert 2.3.0 | 3 | 3 | 1 | 10.0% | {which} |" in page
    assert "| second, third | litert 2.3.0 | 3 | 3 | 1 | 5.8% | " in page
    assert "| variant | runtime | first | second | third |\n|---|---|---:|---:|---:|" in page
    assert "| `net.float.tflite` | litert 2.3.0 | 98.0% | 102.0% | 100.0% |" in page


def test_the_matrix_is_five_networks_by_six_variants_by_two_runtimes(
    matrix: ModuleType, tmp_path: Path
) -> None:
    parent = SimpleNamespace(
        manifest=SimpleNamespace(name=SimpleNamespace(network="net")), folder=tmp_path
    )
    names = [name for name, _ in matrix._variants(parent, None, Path("x"))]
    assert len(matrix.APPROACHES) == 5
    for target in ("tflite", "onnx"):
        assert len({name for name in names if name.endswith(f".{target}")}) == 6
    assert names[0] == "rewritten"  # its files are made of it
    assert len(names) == 1 + 6 * 2


def test_the_page_in_the_tree_is_that_of_its_records(matrix: ModuleType) -> None:
    if not (matrix.RESULTS / "first.jsonl").exists():
        pytest.skip("the matrix has not been landed here")
    landed = (matrix.RESULTS / "matrix.md").read_text(encoding="utf-8")
    assert landed == matrix.page(matrix.RESULTS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_variant_is_made_for_both_runtimes(
    matrix: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "APPROACHES", ("custom-cnn",))
    found = [path.name for path in matrix.make([], "garments", tmp_path)]
    network = "custom-cnn-untrained"
    assert found[:2] == [network, f"{network}.rewritten"]
    assert len(found) == len(set(found)) == 2 + 6 * 2
    assert [path.name for path in matrix.make([], "garments", tmp_path)] == found  # made once
