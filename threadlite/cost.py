"""``threadlite cost``: MACCs, FLOPs, parameters and receptive field; nothing is run or trained."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from train.errors import UsageError

if TYPE_CHECKING:
    from bench.cost import LayerCost
    from bench.receptive import Span

CLOTHING_CLASSES = 17  # of the clothing dataset, for which the approaches are made
_LONGEST_NAME = 48  # letters of a layer's name in the table; JSON has them whole
_EACH = (
    "layer",
    "kind",
    "output",
    "MACCs",
    "share",
    "parameters",
    "bytes",
    "field",
    "jump",
    "start",
)
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


@dataclass(frozen=True, kw_only=True)
class Priced:
    """A model and what its layers cost."""

    name: str
    layers: "tuple[LayerCost, ...]"


def add_parser(commands: _Commands) -> None:
    """Add ``threadlite cost`` and its words."""
    parser = commands.add_parser(
        "cost", help="count MACCs, FLOPs, parameters and receptive field; runs nothing"
    )
    parser.add_argument(
        "model",
        metavar="APPROACH|ARTIFACT|FILE",
        help="an approach or network by name, an artifact, a bundle, or a .keras, .tflite or .onnx"
        " file",
    )
    parser.add_argument("--layers", action="store_true", help="every layer with its own cost")
    parser.add_argument("--json", action="store_true", help="one JSON object, layers with it")
    parser.add_argument(
        "--image-size",
        type=_positive,
        metavar="N",
        help="rows and columns of an approach's input (default: its own)",
    )
    parser.add_argument(
        "--classes",
        type=_positive,
        metavar="N",
        help=f"classes of an approach (default: its own, or the {CLOTHING_CLASSES} of the"
        " clothing dataset)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Count, print, and return the exit status.

    Args:
        arguments: words of the command: ``model``, ``layers``, ``json``, ``image_size`` and
            ``classes``.

    Raises:
        UsageError: the words name no model, or sizes that a finished model cannot take.
        ConfigError: the network cannot have that size or number of classes.
        ArtifactError: the model is damaged, or cannot be counted.
    """
    priced = _priced(arguments)
    lines: Iterable[str]
    if arguments.json:
        lines = [json.dumps(as_json(priced))]
    else:
        lines = [*summary_lines(priced), *(layer_lines(priced.layers) if arguments.layers else ())]
    sys.stdout.write("".join(f"{_printable(line)}\n" for line in lines))
    return 0


def as_json(priced: Priced) -> dict[str, Any]:
    """Return totals and layers; ``receptive_field`` of the whole is that along the longer axis."""
    from bench import cost

    layers = priced.layers
    return {
        "model": priced.name,
        "maccs": cost.total_maccs(layers),
        "flops": cost.total_flops(layers),
        "parameters": cost.total_parameters(layers),
        "activation_bytes": cost.total_activation_bytes(layers),
        "receptive_field": cost.receptive_field(layers),
        "uncounted": cost.uncounted_kinds(layers),
        "layers": [_layer_json(layer) for layer in layers],
    }


def summary_lines(priced: Priced) -> list[str]:
    """Return the totals, a line each."""
    from bench import cost

    layers = priced.layers
    field = cost.receptive_field(layers)
    missing = ", ".join(f"{kind} x {n}" for kind, n in cost.uncounted_kinds(layers).items())
    return [
        priced.name,
        f"MACCs            {cost.total_maccs(layers) / 1e6:,.1f} million",
        f"FLOPs            {cost.total_flops(layers) / 1e6:,.1f} million: 2 for each MACC, nothing"
        " beside",
        f"parameters       {cost.total_parameters(layers):,}",
        f"activations      {cost.total_activation_bytes(layers):,} bytes, all outputs together",
        f"receptive field  {'none' if field is None else f'{field:,} pixels'}",
        f"uncounted        {missing or 'none'}",
    ]


def layer_lines(layers: "Sequence[LayerCost]") -> Iterator[str]:
    """Yield a table of all layers: a heading, then a line each."""
    from bench import cost

    total = cost.total_maccs(layers)
    rows = [_EACH, *(_layer_row(layer, total) for layer in layers)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield ""
    for row in rows:
        left = (f"{cell:<{width}}" for cell, width in zip(row[:3], widths[:3], strict=True))
        right = (f"{cell:>{width}}" for cell, width in zip(row[3:], widths[3:], strict=True))
        yield "  ".join((*left, *right))


def _layer_row(layer: "LayerCost", total: int) -> tuple[str, ...]:
    name = layer.name
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 1]}…"
    return (
        name,
        layer.kind,
        " x ".join(map(str, layer.output_shape[1:])) or "-",
        "uncounted" if layer.maccs is None else f"{layer.maccs:,}",
        f"{100 * (layer.maccs or 0) / total:.1f} %" if total else "-",
        f"{layer.parameters:,}",
        f"{layer.activation_bytes:,}",
        *(_both(layer.field, name) for name in ("size", "jump", "start")),
    )


def _both(field: "tuple[Span, ...]", name: str) -> str:
    """Return a figure of each axis; once where all are the same, ``-`` where there are none."""
    figures = [f"{getattr(span, name):g}" for span in field]
    return figures[0] if len(set(figures)) == 1 else " x ".join(figures) or "-"


def _layer_json(layer: "LayerCost") -> dict[str, Any]:
    field = layer.field
    return {
        "name": layer.name,
        "kind": layer.kind,
        "output_shape": layer.output_shape,
        "maccs": layer.maccs,
        "flops": layer.flops,
        "parameters": layer.parameters,
        "activation_bytes": layer.activation_bytes,
        "receptive_field": {
            name: [getattr(span, name) for span in field] for name in ("size", "jump", "start")
        }
        if field
        else None,
    }


def _priced(arguments: argparse.Namespace) -> Priced:
    from bench.cost import count_file
    from threadlite.model_files import find_model
    from train.approaches import APPROACHES
    from train.networks import NETWORKS

    name, path = arguments.model, Path(arguments.model)
    if name in APPROACHES or name in NETWORKS:
        return _priced_by_name(arguments)
    if not path.exists():
        raise UsageError(
            f"{name!r} is no file or folder, and no approach; choose from"
            f" {', '.join(dict.fromkeys((*APPROACHES, *NETWORKS)))}"
        )
    if arguments.image_size or arguments.classes:
        raise UsageError(
            f"{name}: --image-size and --classes are for approaches; a finished model has its own"
        )
    if path.is_dir():
        model = find_model(path)
        return Priced(name=model.name, layers=count_file(model.file))
    return Priced(name=path.name, layers=count_file(path))


def _priced_by_name(arguments: argparse.Namespace) -> Priced:
    """Return an approach, or a network by its own name, with random weights."""
    from bench.cost import count_layers
    from train.approaches import APPROACHES
    from train.networks import NETWORKS

    name = arguments.model
    approach = APPROACHES.get(name) or next(
        (row for row in APPROACHES.values() if row.network == name), None
    )
    size = arguments.image_size or (approach.recipe.image_size if approach else None)
    if size is None:
        raise UsageError(f"{name}: no approach says its size; give --image-size")
    classes = arguments.classes or _classes_of(approach.classes if approach else "all")
    network = NETWORKS[approach.network if name in APPROACHES and approach else name]
    layers = count_layers(network(image_size=size, classes=classes))
    return Priced(name=f"{name}, {size} x {size} pixels, {classes} classes", layers=layers)


def _classes_of(which: str) -> int:
    """Return how many classes ``all``, ``topN`` or names separated by commas are."""
    if which == "all":
        return CLOTHING_CLASSES
    top = which.removeprefix("top")
    return int(top) if top.isdecimal() else len(which.split(","))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(text)


def _printable(text: str) -> str:
    """Return ``text`` with nothing in it that a terminal would obey."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
