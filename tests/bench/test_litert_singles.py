"""Operators cut out of a model compute what they do in the whole, and are said to be alone."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import litert_capi, profile_worker
from bench.litert_profiler import LitertProfiler, read_file_operators
from bench.litert_singles import ENGINE, SingleOperators, open_litert_profiler
from bench.record_layers import LayerTimesRecord
from optimize.quantize_float16 import Float16Config, quantize_float16
from tests.tiny_models import SIDE, TRAIN_IDS, pictures, shared_variants
from train.artifact import Artifact
from train.errors import RuntimeFailure

OTHER = "2.9.1"


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")


@pytest.fixture
def other_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert_capi, "version", lambda package: OTHER)


def whole_values(model: Path) -> Any:
    """Return an interpreter that has run, every tensor of it in view."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    found: Any = Interpreter(
        model_path=str(model),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    found.allocate_tensors()
    found.set_tensor(found.get_input_details()[0]["index"], pictures(1))
    found.invoke()
    return found


@pytest.mark.parametrize("name", ["float.tflite", "int8.tflite"])
def test_an_operator_alone_makes_what_it_makes_in_the_whole(
    variants: dict[str, Artifact], name: str
) -> None:
    model = variants[name].payload
    singles = SingleOperators(model, threads=1, reason="other")
    singles.feed(pictures(1))
    singles.run(1, timed=False)
    expected = whole_values(model)
    by_name = {one["name"]: one["index"] for one in expected.get_tensor_details()}
    compared = 0
    for operator, cut in zip(read_file_operators(model), singles._cut, strict=True):
        assert cut is not None
        wanted = expected.get_tensor(by_name[operator.output])
        got = cut.get_tensor(cut.get_output_details()[0]["index"])
        if wanted.dtype.kind == "f":
            # XNNPACK against the plain kernels: other orders of float32 sums.
            assert np.allclose(got, wanted, rtol=1e-4, atol=1e-4), operator
        else:  # a value that lies between two steps may be rounded either way
            assert np.abs(got.astype(int) - wanted.astype(int)).max() <= 1, operator
        compared += 1
    assert compared >= 8


def test_times_are_those_of_each_operator_on_the_clock(variants: dict[str, Artifact]) -> None:
    seconds = itertools.count()  # each look at the clock a second later
    singles = SingleOperators(
        variants["float.tflite"].payload, threads=1, reason="other", clock=lambda: next(seconds)
    )
    singles.feed(pictures(1))
    singles.run(1, timed=False)
    singles.run(2, timed=True)
    found = singles.finish()
    ran = len(found.operators)
    assert {one.times_us for one in found.operators} == {(1e6, 1e6)}
    assert found.calls_us == (ran * 1e6,) * 2
    assert {one.engine for one in found.operators} == {ENGINE}
    assert found.no_profiler == "other"


def test_what_is_computed_when_the_file_is_loaded_takes_no_time(
    variants: dict[str, Artifact], tmp_path: Path
) -> None:
    half = quantize_float16(
        variants["float.keras"],
        "tflite",
        pictures(1),
        TRAIN_IDS[:1],
        tmp_path / "half",
        Float16Config(),
    )
    singles = SingleOperators(half.payload, threads=1, reason="other")
    singles.feed(pictures(1))
    singles.run(1, timed=True)
    found = singles.finish()
    idle = [one for one in found.operators if not one.times_us]
    assert {one.operator for one in idle} == {"DEQUANTIZE"}  # of the weights
    assert found.fused == {"DEQUANTIZE": len(idle)}
    kept = [one for one in found.operators if one.operator == "CONV_2D"]
    assert kept and all(one.times_us for one in kept)


def test_another_version_of_the_library_is_stood_in_for_and_marked(
    variants: dict[str, Artifact], other_version: None
) -> None:
    job = {
        "model": str(variants["int8.tflite"].payload), "runtime": "litert", "threads": 1,
        "bare": True, "shape": [1, SIDE, SIDE, 3], "dtype": "uint8", "warmup": 1, "rounds": 2,
        "calls": 2, "seconds": 0, "most_rounds": 2,
    }  # fmt: skip
    found = profile_worker.answer(job, pictures(1).tobytes())
    record = LayerTimesRecord(
        variant="tiny.int8.tflite",
        split_method="grouped",
        environment="e" * 16,
        threads=1,
        counted_from="file",
        **found,
    )
    assert f"ai-edge-litert {OTHER}: its C library" in record.no_profiler
    (warning,) = record.warnings
    assert warning.startswith("each operator was timed alone") and OTHER in warning
    assert len(record.calls_us) == 4 and record.partitions == 0


def test_the_known_version_is_profiled_whole(variants: dict[str, Artifact]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        opened: list[str] = []
        patch.setattr(
            LitertProfiler, "__init__", lambda self, model, threads: opened.append(str(model))
        )
        found = open_litert_profiler(variants["int8.tflite"].payload, threads=1)
    assert isinstance(found, LitertProfiler) and len(opened) == 1


def test_a_profile_of_whole_calls_says_nothing_of_it(variants: dict[str, Artifact]) -> None:
    singles = SingleOperators(variants["float.tflite"].payload, threads=1, reason="")
    singles.feed(pictures(1))
    singles.run(1, timed=True)
    assert "no_profiler" not in singles.finish().as_json()


def test_a_file_that_litert_refuses_is_said(
    variants: dict[str, Artifact], tmp_path: Path, other_version: None
) -> None:
    broken = tmp_path / "m.tflite"
    content = variants["float.tflite"].payload.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(RuntimeFailure, match=r"m\.tflite"):
        open_litert_profiler(broken, threads=1)
    with pytest.raises(RuntimeFailure, match=r"fails: "):
        SingleOperators(variants["float.tflite"].payload, threads=1, reason="other").feed(
            np.zeros((1, 3, 3, 3), np.uint8)
        )
