"""``threadlite classify``: the most probable classes of a photo, by any model of ours.

A photo goes through the pixel contract of the model (EXIF orientation, RGB, resize) and through
the runtime that ships. TensorFlow is loaded for a Keras network alone.
"""

import contextlib
import json
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.loaded import Probabilities
from deploy.runtime import open_runtime
from threadlite.model_files import RUNTIME_OF, Model, find_model, read_labels
from train.errors import DataError, RuntimeFailure, UsageError
from train.pixels import PixelContract, Pixels, decode
from train.tables import PICTURE_SUFFIXES

_ROUNDING = 0.01  # int8 outputs stand for probabilities in steps of 1/256


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was found on one photo, or why nothing was.

    Attributes:
        photo: the file, as the user named it.
        model: the model's name.
        classes: ``(label, probability)``, the most probable first.
        problem: why the photo cannot be answered; empty where it is.
    """

    photo: str
    model: str
    classes: tuple[tuple[str, float], ...] = ()
    problem: str = ""

    def as_line(self) -> str:
        """Return the answer as a line of text."""
        found = ", ".join(f"{label} {100 * share:.1f} %" for label, share in self.classes)
        return _printable(f"{self.photo}: {found}")

    def as_json(self) -> str:
        """Return the answer as one line of JSON."""
        content: dict[str, object] = {"photo": self.photo, "model": self.model}
        if self.problem:
            content["problem"] = self.problem
        else:
            content["classes"] = [
                {"label": label, "probability": round(share, 4)} for label, share in self.classes
            ]
        return json.dumps(content)


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A model that can be asked: pictures ``(n, height, width, 3)`` in, ``(n, classes)`` out."""

    ask: Callable[[Pixels], Probabilities]
    height: int
    width: int
    classes: int


def classify_photos(arguments: Namespace) -> Iterator[Answer]:
    """Yield the answer to every photo, as soon as it is known.

    Args:
        arguments: words of the command: ``photos`` (files and folders), ``model``, ``labels``,
            ``top``, ``runtime`` and ``threads``.

    Raises:
        ArtifactError: the model is missing, damaged, or is none of ours.
        UsageError: nothing tells its labels, or their number is not that of its outputs.
        RuntimeFailure: the runtime cannot load or run it.
    """
    model = find_model(arguments.model, runtime=arguments.runtime)
    labels = read_labels(arguments.labels) if arguments.labels else model.labels
    with _load(model.file, arguments.runtime, threads=arguments.threads) as loaded:
        _require_labels(labels, loaded, model)
        contract = model.pixels or _contract_of(loaded, model)
        for photo in _pictures(arguments.photos):
            yield (
                photo
                if isinstance(photo, Answer)
                else _answer(photo, model, loaded, contract, labels, arguments.top)
            )


@contextlib.contextmanager
def _load(file: Path, runtime: str | None, *, threads: int) -> Iterator[_Loaded]:
    if file.suffix == ".keras" and runtime is None:
        yield _load_network(file)
        return
    name = runtime or RUNTIME_OF.get(file.suffix)
    if name is None:
        raise RuntimeFailure(f"{file}: no runtime runs it; it must be a .tflite or .onnx file")
    with open_runtime(file, name, threads=threads) as found:
        _, height, width, _ = found.input_shape
        yield _Loaded(ask=found.predict, height=height, width=width, classes=found.classes)


def _load_network(file: Path) -> _Loaded:
    from train.keras_file import load_keras
    from train.predict import Predictor

    network = load_keras(file)
    shape, outputs = network.input_shape, network.output_shape
    if not (isinstance(shape, tuple) and len(shape) == 4 and all(shape[1:]) and shape[3] == 3):
        raise RuntimeFailure(f"{file}: its input is {shape}, must be (None, height, width, 3)")
    return _Loaded(
        ask=Predictor(network), height=shape[1], width=shape[2], classes=int(outputs[-1])
    )


def _require_labels(labels: Sequence[str], loaded: _Loaded, model: Model) -> None:
    if not labels:
        raise UsageError(f"{model.file} does not tell its labels; name a file of them by --labels")
    if len(labels) != loaded.classes:
        raise UsageError(
            f"{model.file} gives {loaded.classes} probabilities, and there are {len(labels)}"
            " labels; name the file of its own by --labels"
        )


def _contract_of(loaded: _Loaded, model: Model) -> PixelContract:
    try:
        return PixelContract(height=loaded.height, width=loaded.width)
    except ValueError as error:
        raise RuntimeFailure(
            f"{model.file}: its input of {loaded.height} x {loaded.width} is out of range"
        ) from error


def _pictures(named: Sequence[Path]) -> Iterator[Path | Answer]:
    """Yield the files named and the pictures in the folders named, or why there are none."""
    for path in named:
        if not path.is_dir():
            yield path
            continue
        found = sorted(
            child
            for child in path.iterdir()
            if child.suffix.lower() in PICTURE_SUFFIXES and not child.name.startswith(".")
        )
        yield from found
        if not found:
            problem = f"{path}: holds no picture; folders in it are not looked into"
            yield Answer(photo=str(path), model="", problem=_printable(problem))


def _answer(
    photo: Path,
    model: Model,
    loaded: _Loaded,
    contract: PixelContract,
    labels: Sequence[str],
    top: int,
) -> Answer:
    try:
        if not photo.is_file():
            raise DataError(f"{photo}: no such file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on a file that it reads all the same
            pixels = decode(photo, contract)
    except DataError as error:
        return Answer(photo=str(photo), model=model.name, problem=_printable(str(error)))
    shares = loaded.ask(pixels[np.newaxis])[0]
    if not np.all((shares >= -_ROUNDING) & (shares <= 1 + _ROUNDING)):
        raise RuntimeFailure(
            f"{model.file}: gives values from {shares.min():g} to {shares.max():g}, which are no"
            " probabilities; export it with threadlite"
        )
    best = np.argsort(-shares, kind="stable")[:top]
    classes = tuple((labels[number], float(shares[number])) for number in best)
    return Answer(photo=str(photo), model=model.name, classes=classes)


def _printable(text: str) -> str:
    """Return ``text`` with nothing in it that a terminal would obey."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
