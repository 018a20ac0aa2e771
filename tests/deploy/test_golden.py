"""Golden pictures: chosen so that rounding cannot change the answer, and read back exactly."""

from pathlib import Path

import numpy as np
import pytest

from deploy import golden
from deploy.golden import GoldenModel, choose, expected, margins, probabilities_of, write_golden
from deploy.loaded import Quantization
from tests.tiny_models import pictures
from train.errors import ArtifactError, UsageError
from train.pixels import PixelContract

CONTRACT = PixelContract(height=32, width=32)


def sure(top: int, share: float) -> list[float]:
    row = [(1.0 - share) / 2.0] * 3
    row[top] = share
    return row


def test_margins_by_hand() -> None:
    found = margins(np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]], np.float32))
    assert found.tolist() == [0.25, 1.0]


def test_classes_take_turns_and_the_unsure_come_last() -> None:
    # Class 0 is surest fourteen times, class 1 twice and once unsure (0.34 - 0.33 < 2 * 0.01).
    rows = [sure(0, 0.99 - index / 100) for index in range(14)]
    rows += [sure(1, 0.6), sure(1, 0.7), sure(1, 0.34)]
    kept = choose([np.array(rows, np.float32)], [0.01])
    assert len(kept) == 16
    assert kept[:4] == [0, 15, 1, 14]  # the surest of each class, then the second of each
    assert 16 not in kept


def test_pictures_on_which_the_models_disagree_come_last() -> None:
    one = np.array([sure(0, 0.9)] * 20, np.float32)
    other = one.copy()
    other[:4] = sure(1, 0.9)
    assert choose([one, other], [0.01, 0.01]) == list(range(4, 20))


def test_too_few_candidates_are_refused() -> None:
    with pytest.raises(UsageError, match="12 golden pictures or more, got 11"):
        choose([np.array([sure(0, 0.9)] * 11, np.float32)], [0.01])


def test_raw_outputs_by_hand() -> None:
    # probability = scale * (integer - zero point): 0.25 / (1 / 256) + 3 = 67
    quantization = Quantization(scale=1 / 256, zero_point=3)
    (found,) = expected(np.array([[0.25, 0.75]], np.float32), 0.1, quantization)
    assert (found.raw, found.top, found.decisive) == ((67.0, 195.0), 1, True)
    assert probabilities_of(found, quantization).tolist() == [0.25, 0.75]
    # A margin of 0.5 is not more than twice 0.25.
    (found,) = expected(np.array([[0.25, 0.75]], np.float32), 0.25, None)
    assert (found.raw, found.decisive) == ((0.25, 0.75), False)


def test_tolerances_follow_the_precision() -> None:
    assert golden.tolerance_for("float") == golden.FLOAT_TOLERANCE == 1e-3
    # sqrt(60) steps of 20 / 255 through a softmax, and a step of the output on each side at half.
    worked_out = 60**0.5 * (20 / 255) / 4 + 1 / 256
    assert worked_out == pytest.approx(0.1558, abs=1e-4)
    assert worked_out <= golden.tolerance_for("int8") == 0.16


def test_pictures_come_back_bit_for_bit_and_altered_ones_do_not(tmp_path: Path) -> None:
    photos = pictures(12)
    answers = np.array([sure(index % 3, 0.9) for index in range(12)], np.float32)
    model = GoldenModel(runtime="litert 2", tolerance=0.1)
    outputs = {"model.tflite": expected(answers, 0.1, None)}
    folder = tmp_path / "golden"
    written = write_golden(folder, photos, outputs, {"model.tflite": model}, source="photos given")
    index, found = golden.read_golden(folder, CONTRACT)
    assert index == written
    np.testing.assert_array_equal(found, photos)
    (folder / "01.png").write_bytes((folder / "02.png").read_bytes())
    with pytest.raises(ArtifactError, match=r"01\.png: its pixels are not those"):
        golden.read_golden(folder, CONTRACT)
    (folder / "01.png").write_bytes(b"no picture")
    with pytest.raises(ArtifactError, match=r"01\.png: not a readable picture"):
        golden.read_golden(folder, CONTRACT)
    (folder / "golden.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"golden\.json cannot be read"):
        golden.read_golden(folder, CONTRACT)


def test_rendered_candidates_are_garments_of_the_input_size() -> None:
    found = golden.rendered_candidates(CONTRACT)
    assert (found.shape, found.dtype) == ((51, 32, 32, 3), np.uint8)  # 3 of each of 17 classes
    assert not found.flags.writeable
    assert len({golden.digest_of_pixels(picture) for picture in found}) == 51
