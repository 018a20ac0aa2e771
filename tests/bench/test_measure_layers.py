"""Layers with their times, MACCs and errors, on both runtimes, and damaged models among them."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bench.layer_times import ProfilePlan
from bench.layers import join_layers, known_layers
from bench.measure_layers import LayersRecord, layer_records
from bench.record import FailureRecord, LayerTimesRecord, PeakRecord, of_kind
from tests.bench.damage import flipped, truncated
from tests.tiny_models import pictures, shared_variants
from train.artifact import Artifact, open_artifact

PLAN = ProfilePlan(warmup=1, rounds=1, calls=2, seconds=0)
KEPT = Path(__file__).parents[2] / "models/efficientnet-lite0"
NAMES = ("float.tflite", "int8.tflite", "float.onnx", "int8.onnx")


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    for number, pixels in enumerate(pictures(2)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def measure(
    variants: list[Artifact], photos: list[Path], networks: tuple[Artifact, ...] = ()
) -> list[LayersRecord]:
    return layer_records(
        variants, networks, photos=photos, threads=1, environment="e" * 16, plan=PLAN, peak_side=128
    )


@pytest.fixture(scope="module")
def records(variants: dict[str, Artifact], photos: list[Path]) -> list[LayersRecord]:
    return measure([variants[name] for name in NAMES], photos, (variants["float.keras"],))


def test_every_layer_has_its_maccs_time_peak_and_error(records: list[LayersRecord]) -> None:
    assert not of_kind(records, FailureRecord)
    timed, peaks = of_kind(records, LayerTimesRecord), of_kind(records, PeakRecord)
    assert len({(one.runtime, one.precision) for one in peaks}) == 4
    assert {one.counted_from for one in timed} == {"keras"}
    rows = join_layers(known_layers(timed), timed, peaks)
    # 16 x 16 positions, 8 filters of 3 x 3 x 3.
    (first,) = [row for row in rows if "conv0" in row.layers]
    assert first.maccs == 16 * 16 * 8 * 27
    for number, name in enumerate(NAMES):
        time = first.times[number]
        assert time.peak_share is not None and time.maccs_per_second is not None
        assert (time.sqnr_db is not None) == name.startswith("int8")
    # An int8 value is off by a half step of 255 at most, a third of that in the mean square: a
    # signal that fills the range has some 50 dB, and one that fills a tenth of it 30.
    errors = [row.times[number].sqnr_db for row in rows for number in (1, 3)]
    compared = [error for error in errors if error is not None]
    assert len(compared) >= 12 and min(compared) > 10.0
    both = [(row.times[1].sqnr_db, row.times[3].sqnr_db) for row in rows]
    for one, other in both:  # two quantizers of one network
        assert one is None or other is None or abs(one - other) < 15.0 or max(one, other) > 60.0


def test_without_its_network_a_variant_has_what_its_file_tells(
    records: list[LayersRecord], variants: dict[str, Artifact], photos: list[Path]
) -> None:
    found = measure([variants["float.onnx"], variants["int8.tflite"]], photos)
    onnx, tflite = of_kind(found, LayerTimesRecord)
    whole = sum(one.maccs or 0 for one in of_kind(records, LayerTimesRecord)[0].layers)
    for one in (onnx, tflite):
        assert one.counted_from == "file"
        assert sum(layer.maccs or 0 for layer in one.layers) == whole
    # Its float variant is of the other format, and there is no network to export one from.
    assert (tflite.float_sha256, tflite.compared_pictures) == ("", 0)
    assert not [one for one in tflite.operators if one.error]


def test_a_float_model_is_exported_where_none_is_given(
    variants: dict[str, Artifact], photos: list[Path]
) -> None:
    (record,) = of_kind(
        measure([variants["int8.tflite"]], photos, (variants["float.keras"],)), LayerTimesRecord
    )
    assert record.compared_pictures == 2
    assert record.float_sha256 == variants["float.tflite"].manifest.payload_sha256


def test_a_float_model_that_cannot_be_run_leaves_the_times(
    variants: dict[str, Artifact],
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    broken = tmp_path / "model.tflite"
    broken.write_bytes(b"no model")
    whole = variants["float.tflite"]
    reference = Artifact(
        folder=tmp_path, manifest=whole.manifest.model_copy(update={"payload": broken.name})
    )
    found = measure([variants["int8.tflite"], reference], photos)
    assert isinstance(found[0], LayerTimesRecord)
    failures = of_kind(found, FailureRecord)
    assert [(one.stage, bool(one.reason)) for one in failures] == [
        ("layers", True),  # of the broken one itself
        ("layer-errors", True),
    ]


def damage(
    whole: Artifact, fake: Callable[..., Artifact], folder: Path, cuts: int, flips: int
) -> tuple[list[Artifact], list[Artifact]]:
    """Return copies of an artifact that were cut, and some with bytes flipped."""
    order, content = random.Random(0), whole.payload.read_bytes()
    suffix, size = whole.manifest.name.format, whole.manifest.pixels.height
    made: dict[str, list[Artifact]] = {"cut": [], "flipped": []}
    for kind, count, change in (("cut", cuts, truncated), ("flipped", flips, flipped)):
        for number in range(count):
            name = f"{kind}{number}.int8.{suffix}"
            made[kind].append(fake(folder / name, name, change(content, order), size=size))
    return made["cut"], made["flipped"]


def check(broken: list[Artifact], whole: Artifact, photos: list[Path]) -> list[LayersRecord]:
    """Measure damaged models and a whole one behind them, and return the damaged ones' records."""
    found = measure([*broken, whole], photos)
    last = found[len(broken)]
    assert isinstance(last, LayerTimesRecord) and last.variant == whole.manifest.variant
    for artifact, one in zip(broken, found, strict=False):
        assert not isinstance(one, PeakRecord)
        assert one.variant == artifact.manifest.variant
        if isinstance(one, FailureRecord):
            assert one.stage == "layers" and one.reason and "/" not in one.reason.split()[0]
    return found[: len(broken)]


@pytest.mark.parametrize("name", ["int8.tflite", "int8.onnx"])
def test_damaged_models_cost_a_record_each(
    name: str,
    variants: dict[str, Artifact],
    fake_artifact: Callable[..., Artifact],
    tmp_path: Path,
    photos: list[Path],
) -> None:
    cut, changed = damage(variants[name], fake_artifact, tmp_path, cuts=2, flips=1)
    found = check([*cut, *changed], variants[name], photos)
    assert all(isinstance(one, FailureRecord) for one in found[: len(cut)])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [*NAMES, "kept"])
def test_models_damaged_anywhere_cost_a_record_each(
    name: str,
    variants: dict[str, Artifact],
    fake_artifact: Callable[..., Artifact],
    tmp_path: Path,
    photos: list[Path],
) -> None:
    whole = open_artifact(KEPT) if name == "kept" else variants[name]
    cut, changed = damage(whole, fake_artifact, tmp_path, cuts=50, flips=10)
    found = check([*cut, *changed], whole, photos)
    assert sum(isinstance(one, FailureRecord) for one in found[: len(cut)]) >= 45
