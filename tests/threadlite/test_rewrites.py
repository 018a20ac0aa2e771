"""``threadlite rewrites``: its words, its variants, and the page out of its records."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench.record import (
    CostRecord,
    EnvironmentRecord,
    FailureRecord,
    LatencyRecord,
    LayerTimesRecord,
    ParityRecord,
    PeakRecord,
    Record,
    of_kind,
    read_records,
    write_records,
)
from bench.record_layers import LayerCount, OperatorTimes
from optimize.converter_defaults import default_tflite
from optimize.quantize_graph import operators_of
from optimize.rewrite import rewrite_model
from optimize.rewrite_runtime import RUNTIME_REWRITES
from tests.optimize.rewrite_cases import network
from tests.optimize.test_rewrite import small_convnext
from tests.scripts import load_script
from tests.threadlite.pictures import write_table
from tests.tiny_models import pictures
from threadlite import convnext_variants
from threadlite.cli import main
from threadlite.convnext_variants import PAYING
from threadlite.rewrites_page import (
    CALIBRATED_ONNX,
    DEFAULTS,
    FAST_LITERT,
    FAST_ONNX,
    PLAIN_ONNX,
    PROFILED,
    page_lines,
)
from train.artifact import WeightsOrigin
from train.errors import ConfigError
from train.networks import NETWORKS

SUBJECT: dict[str, Any] = {"split_method": "grouped", "environment": "e"}
MEDIANS = {
    **dict(zip(DEFAULTS, (80.0, 60.0, 100.0), strict=True)),
    FAST_LITERT: 20.0,
    PLAIN_ONNX: 50.0,
    FAST_ONNX: 25.0,
}


def records() -> list[Record]:
    """Return a run of round figures: two threads alone, one operator or two a variant."""
    found: list[Record] = [
        EnvironmentRecord(
            environment="e", cpu="a CPU", cores=2, memory_bytes=1, cpu_features=(), system="s",
            python="3", packages={},
        )
    ]  # fmt: skip
    for name, milliseconds in MEDIANS.items():
        runtime = "litert 2" if name.endswith("tflite") else "onnxruntime 1"
        subject = {**SUBJECT, "variant": name}
        found += [
            CostRecord(
                **subject, maccs=1, parameters=1, receptive_field=883, uncounted={},
                file_bytes=5_000_000, gzip_bytes=1,
            ),
            LatencyRecord(
                **subject, runtime=runtime, threads=2, warmup_runs=1, load_ms=1.0,
                latencies_ms=(milliseconds,),
            ),
            LayerTimesRecord(
                **subject, runtime=runtime, threads=2, calls_us=(1e3,), latencies_us=(1e3,),
                optimized={}, inserted={}, fused={}, counted_from="file",
                layers=(LayerCount(name="a", kind="CONV_2D", maccs=600),),
                operators=(operator("CONV_2D", 600.0), operator("ADD", 400.0)),
            ),
            ParityRecord(
                **subject, runtime=runtime, images=3, max_difference=1e-6, argmax_agreement=1.0,
                tolerance=1e-3, min_agreement=0.0, passed=True,
            ),
        ]  # fmt: skip
    # 1200 MACCs in 1000 us at best; the 600 of CONV_2D took 600 us: 1 against 1.2 a microsecond.
    found.append(
        PeakRecord(
            environment="e", runtime="litert 2", threads=2, precision="int8", maccs=1200,
            kernels=("k",), times_us=(1000.0,),
        )
    )  # fmt: skip
    return found


def operator(kind: str, microseconds: float) -> OperatorTimes:
    return OperatorTimes(
        name="a", operator=kind, engine="e", kernels=("k",), sources=(), times_us=(microseconds,)
    )


def test_the_page_holds_each_variant_against_the_defaults() -> None:
    lines = page_lines(records())
    assert f"| `{FAST_LITERT}` | 20.0 | 4.00× | 3.00× | 5.00× | 2.50× | 5.00 |" in lines  # noqa: RUF001
    assert f"| `{FAST_ONNX}` | 25.0 | 3.20× | 2.40× | 4.00× | 2.00× | 5.00 |" in lines  # noqa: RUF001
    assert "| LiteRT: `CONV_2D` | 1 | 0.600 | 1 | 0.600 |" in lines
    said = "\n".join(lines)
    assert "take 60 % of the fast variant's time, at 83 % of the speed" in said
    assert "The last maps see 883 x 883 pixels" in said
    assert f"| `{FAST_ONNX}` | onnxruntime 1 | 3 | 1.0e-06 | 100.0% |" in lines
    assert not any("largest feature" in line for line in lines)
    features = of_kind(records(), ParityRecord)[0].model_copy(
        update={"compared": "features", "max_difference": 3e-7}
    )
    lines = page_lines([*records(), features])
    assert f"| `{DEFAULTS[0]}` | litert 2 | 3 | 3.0e-07 | 100.0% |" in lines


@pytest.fixture(scope="module")
def publish() -> ModuleType:
    return load_script("publish_convnext")


def test_the_block_of_the_page_is_written_anew(publish: ModuleType, tmp_path: Path) -> None:
    write_records(tmp_path / "measured.jsonl", records())
    text = publish.PAGE.read_text(encoding="utf-8")
    once = publish.with_results(text, tmp_path / "measured.jsonl")
    assert once != text
    assert publish.with_results(once, tmp_path / "measured.jsonl") == once
    assert once.startswith(text.partition(publish.BEGIN)[0])
    with pytest.raises(SystemExit, match="has no block"):
        publish.with_results("# nothing here\n", tmp_path / "measured.jsonl")


def test_the_page_says_what_the_records_say(publish: ModuleType) -> None:
    text = publish.PAGE.read_text(encoding="utf-8")
    measured = publish.RESULTS / publish.RECORDS
    if measured.exists():
        assert publish.with_results(text, measured) == text
    else:
        assert "Not measured yet." in text


def test_the_converters_defaults_quantize_everything_or_the_weights() -> None:
    def body(layers: Any, maps: Any) -> Any:
        # The converter leaves kernels of under 1024 numbers in float.
        maps = layers.Conv2D(64, 3, name="wide")(maps)
        return layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(maps))

    model = network(body, side=32)
    found = {
        precision: default_tflite(model, precision, pictures(4))
        for precision in ("float", "int8-dynamic", "int8")
    }
    kinds = {precision: operators_of(content) for precision, content in found.items()}
    assert kinds["float"]["CAST"] == kinds["int8-dynamic"]["CAST"] == 1
    assert kinds["int8"]["CAST"] == 0  # its input is uint8 of its own
    assert len(found["int8-dynamic"]) < len(found["float"])
    with pytest.raises(ConfigError, match="precision 'int4' is not one of float, int8-dynamic"):
        default_tflite(model, "int4", np.zeros((0, 32, 32, 3), np.uint8))


def test_what_is_applied_is_exact_and_known() -> None:
    for runtime, names in PAYING.items():
        assert set(names) <= set(RUNTIME_REWRITES[runtime].exact)


def test_a_folder_that_is_there_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rewrites", "--out", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_measures_every_variant_and_writes_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command on one block of ConvNeXt, which stands for the network and its twin."""
    # A grouped convolution has no counterpart in ONNX, and none is in our own network.
    model, _ = rewrite_model(small_convnext(), ["grouped-to-depthwise", "dense-to-convolution"])
    monkeypatch.setattr(convnext_variants, "build_twin", lambda image_size, classes: model)
    monkeypatch.setitem(NETWORKS, "convnext-tiny", lambda image_size, classes: model)
    origin = WeightsOrigin(source="random", loaded_parameters=0, total_parameters=1)
    monkeypatch.setattr(convnext_variants, "load_weights", lambda model, **where: origin)
    table = write_table(tmp_path / "photos", photos=45)
    words = ["rewrites", "--out", str(tmp_path / "run"), "--data", str(table), "--image-size", "32"]
    assert main([*words, "--rounds", "1", "--photos", "2"]) == 0
    found, warnings = read_records(tmp_path / "run" / "records.jsonl")
    assert warnings == []
    names = {*DEFAULTS, FAST_LITERT, PLAIN_ONNX, FAST_ONNX}
    names |= {name.replace("mixed.int8-dynamic", "float") for name in (FAST_LITERT, FAST_ONNX)}
    names |= {"convnext-tiny-untrained.float.tflite", CALIBRATED_ONNX}
    failed = [one.reason for one in of_kind(found, FailureRecord)]
    assert failed == []
    timed = [(one.variant, one.threads) for one in of_kind(found, LatencyRecord)]
    assert sorted(timed) == sorted((name, threads) for name in names for threads in (1, 2))
    assert {one.variant for one in of_kind(found, LayerTimesRecord)} == set(PROFILED)
    parities = of_kind(found, ParityRecord)
    agreed = {one.variant: one for one in parities if one.compared == "probabilities"}
    assert all(one.passed for one in parities) and set(agreed) == names
    features = [one.runtime.split()[0] for one in parities if one.compared == "features"]
    assert features == ["litert", "onnxruntime"]
    assert len(of_kind(found, PeakRecord)) == 4
    assert page_lines(found)
    assert (tmp_path / "run" / "report" / "report.md").is_file()
    assert "records and report in" in capsys.readouterr().out
