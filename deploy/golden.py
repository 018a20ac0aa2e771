"""Golden pictures: what goes in and what must come out, so that a client can check itself.

They are PNG files of the network's own input size: any decoder gives the same bytes, whose digest
is told, and no resize comes between. Of many candidates those are kept on which the models are
surest, class by class, so that rounding alone cannot change the answer. By default they are
rendered garments, which may be passed on with the app.
"""

import functools
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.loaded import Probabilities, Quantization
from deploy.parity import FLOAT_BOUNDS
from train.errors import ArtifactError, UsageError
from train.garments import GARMENT_COUNTS, render_picture
from train.pixels import PixelContract, Pixels, decode

FOLDER_NAME = "golden"
INDEX_NAME = "golden.json"
MIN_PICTURES = 12
PICTURES = 16
_RENDERED_A_CLASS = 3
_SEED = 7  # not that of the embedded dataset, on which a model may have been trained

FLOAT_TOLERANCE = FLOAT_BOUNDS.max_difference
# Two implementations of an 8-bit operator may round apart by one step of its output. Over the 60
# layers that ``parity`` counts with, independent steps add up to sqrt(60) = 7.7 of them; logits
# that reach 10 either way lie in steps of 20 / 255; and a softmax passes on at most a quarter:
# 7.7 * 0.078 / 4 = 0.152. The output itself rounds to 1 / 256, once on each side: 0.16 in all.
INTEGER_TOLERANCE = 0.16


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExpectedOutput(_Frozen):
    """What one model gives for one picture.

    Attributes:
        raw: the output tensor as it is: integers of a quantized output, else probabilities.
        top: number of the class with the greatest value.
        decisive: the second class lies further behind than twice the tolerance, so that every
            client within it must give the same top class.
    """

    raw: tuple[float, ...]
    top: int
    decisive: bool


class GoldenPicture(_Frozen):
    """One picture: its file, the digest of its pixels and what each model gives for it.

    Attributes:
        file: name in the ``golden`` folder.
        input_sha256: of the ``height * width * 3`` bytes, row by row, RGB.
        outputs: by the model's file.
    """

    file: str
    input_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    outputs: dict[str, ExpectedOutput]


class GoldenModel(_Frozen):
    """What made the outputs of one model, and how far others may lie from them.

    Attributes:
        runtime: name and version: ``litert 2.3.0``.
        tolerance: greatest difference of a probability.
    """

    runtime: str
    tolerance: float = Field(gt=0, lt=1)


class GoldenSet(_Frozen):
    """``golden/golden.json``."""

    source: Literal["rendered garments", "photos given"]
    models: dict[str, GoldenModel]
    pictures: tuple[GoldenPicture, ...] = Field(min_length=MIN_PICTURES)


@functools.lru_cache(maxsize=4)
def rendered_candidates(contract: PixelContract) -> Pixels:
    """Return rendered garments, some of each class: ``(n, height, width, 3)`` uint8.

    Kept, because a plan makes many bundles of one size, and therefore read-only.
    """
    found = []
    for index in range(_RENDERED_A_CLASS):
        for label in GARMENT_COUNTS:
            stream = io.BytesIO()
            render_picture(label, index, _SEED).save(stream, format="PNG")
            found.append(decode(stream.getvalue(), contract))
    pixels = np.stack(found)
    pixels.setflags(write=False)
    return pixels


def tolerance_for(precision: str) -> float:
    """Return how far a probability may differ between two clients of a model."""
    return FLOAT_TOLERANCE if precision in ("float", "float16") else INTEGER_TOLERANCE


def margins(probabilities: Probabilities) -> Probabilities:
    """Return how far the second class lies behind the first: ``(n,)`` of ``(n, classes)``."""
    two = np.sort(probabilities, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


def choose(answers: Sequence[Probabilities], tolerances: Sequence[float]) -> list[int]:
    """Return the candidates to keep: sure in every model, classes taken in turns.

    Args:
        answers: probabilities ``(n, classes)`` of each model.
        tolerances: of each model.

    Raises:
        UsageError: there are fewer than ``MIN_PICTURES`` candidates.
    """
    if len(answers[0]) < MIN_PICTURES:
        raise UsageError(
            f"a bundle needs {MIN_PICTURES} golden pictures or more, got {len(answers[0])}"
        )
    tops = np.stack([answer.argmax(axis=1) for answer in answers])
    pairs = zip(answers, tolerances, strict=True)
    sureness = np.min([margins(answer) / (2.0 * bound) for answer, bound in pairs], axis=0)
    sureness = np.where((tops == tops[0]).all(axis=0), sureness, -1.0)  # the models disagree
    # By class and sureness first, then the surest of every class, the second of every class...
    turns: dict[int, int] = {}
    ranked = []
    for index in np.argsort(-sureness, kind="stable").tolist():
        top = int(tops[0, index])
        turns[top] = turns.get(top, -1) + 1
        ranked.append((bool(sureness[index] <= 1.0), turns[top], -float(sureness[index]), index))
    return [index for *_, index in sorted(ranked)[:PICTURES]]


def expected(
    probabilities: Probabilities, tolerance: float, quantization: Quantization | None
) -> tuple[ExpectedOutput, ...]:
    """Return what a model gave, picture by picture, as it lies in the output tensor.

    Args:
        probabilities: ``(n, classes)``.
        tolerance: how far others may lie from it.
        quantization: of the output; ``None`` for float probabilities.
    """
    raw = probabilities.astype(np.float64)
    if quantization is not None:
        raw = np.rint(raw / quantization.scale + quantization.zero_point)
    return tuple(
        ExpectedOutput(
            raw=tuple(row.tolist()),
            top=int(probabilities[index].argmax()),
            decisive=bool(margins(probabilities)[index] > 2.0 * tolerance),
        )
        for index, row in enumerate(raw)
    )


def probabilities_of(
    output: ExpectedOutput, quantization: Quantization | None
) -> npt.NDArray[np.float64]:
    """Return the probabilities ``(classes,)`` that the raw output stands for."""
    raw = np.asarray(output.raw, np.float64)
    if quantization is None:
        return raw
    return (raw - quantization.zero_point) * quantization.scale


def write_golden(
    folder: Path,
    pixels: Pixels,
    outputs: Mapping[str, tuple[ExpectedOutput, ...]],
    models: Mapping[str, GoldenModel],
    source: Literal["rendered garments", "photos given"],
) -> GoldenSet:
    """Write the pictures and their index into a new folder.

    Args:
        folder: must not exist.
        pixels: ``(n, height, width, 3)`` uint8.
        outputs: of each model, by its file.
        models: by the model's file.
        source: where the pictures come from.
    """
    folder.mkdir()
    pictures = []
    for number, picture in enumerate(pixels):
        name = f"{number + 1:02d}.png"
        Image.fromarray(picture).save(folder / name, optimize=False)
        pictures.append(
            GoldenPicture(
                file=name,
                input_sha256=digest_of_pixels(picture),
                outputs={model: found[number] for model, found in outputs.items()},
            )
        )
    golden = GoldenSet(source=source, models=dict(models), pictures=tuple(pictures))
    (folder / INDEX_NAME).write_text(golden.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return golden


def read_golden(folder: Path, contract: PixelContract) -> tuple[GoldenSet, Pixels]:
    """Return the index and the pixels of the golden pictures.

    Raises:
        ArtifactError: the index or a picture cannot be read, or its pixels are others.
    """
    path = folder / INDEX_NAME
    try:
        golden = GoldenSet.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise ArtifactError(f"{path} cannot be read ({first}); deploy it again") from error
    found = np.empty((len(golden.pictures), contract.height, contract.width, 3), np.uint8)
    for index, picture in enumerate(golden.pictures):
        pixels = _read_picture(folder / Path(picture.file).name)
        if pixels.shape != found.shape[1:] or digest_of_pixels(pixels) != picture.input_sha256:
            raise ArtifactError(
                f"{folder / picture.file}: its pixels are not those of {INDEX_NAME}; deploy again"
            )
        found[index] = pixels
    return golden, found


def digest_of_pixels(pixels: Pixels) -> str:
    """Return the SHA-256 of the bytes of one picture, row by row, RGB."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _read_picture(path: Path) -> Pixels:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"), dtype=np.uint8)
    except Exception as error:  # Pillow raises anything on bad files
        raise ArtifactError(f"{path}: not a readable picture ({error})") from error
