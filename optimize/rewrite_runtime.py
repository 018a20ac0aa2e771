"""What can be rewritten for one runtime: in the network, then in the file made of it.

One frame for both runtimes, and for precision too: 8 bits where a runtime multiplies them fast,
float for everything else, is one more entry of the list. Which of these pay is found by racing
(``rewrite_search.py``); a network is never slower for having been tried.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import JsonValue

from optimize.convert import to_onnx, to_tflite, write_onnx, write_tflite
from optimize.mixed_precision import OPERATORS, integer_products, to_mixed_dynamic_tflite
from optimize.mixed_precision import TECHNIQUE_WORD as MIXED
from optimize.quantize_dynamic import to_dynamic_onnx
from optimize.quantize_graph import operators_of
from optimize.quantize_onnx import to_partly_int8_onnx
from optimize.quantize_processor import products_overflow_here
from optimize.rewrite import EXACT, REWRITES, Applied, rewrite_model
from optimize.rewrite_artifact import TECHNIQUE_WORD as REWRITTEN
from optimize.rewrite_onnx import fuse_gelu, fuse_layer_norm
from train.artifact import Artifact, Step, derive_artifact
from train.errors import ConfigError, ConversionError
from train.pixels import Pixels
from train.variant import Format, Variant

INT8 = "int8-products"
CALIBRATED = "int8-calibrated"


class FileRewrite(NamedTuple):
    """A rewrite of a file's graph.

    Attributes:
        apply: takes the file's content, and pictures ``(picture, height, width, 3)`` uint8 to find
            ranges on; returns it rewritten, with the names of what changed.
        exact: whether no answer moves beyond float rounding.
        calibrated: whether it looks at the pictures.
    """

    apply: Callable[[Any, Pixels], tuple[Any, tuple[str, ...]]]
    exact: bool = True
    calibrated: bool = False


@dataclass(frozen=True, kw_only=True)
class RuntimeRewrites:
    """What is tried for one runtime.

    Attributes:
        format: of the file that it runs.
        convert: makes that file's content of a Keras network.
        write: writes the content with a nameplate.
        network: names from ``REWRITES``.
        file: rewrites of the file, by name, in the order that they are applied in.
    """

    format: Format
    convert: Callable[[Any], Any]
    write: Callable[[Any, Path, Artifact, Variant], None]
    network: tuple[str, ...]
    file: Mapping[str, FileRewrite]

    @property
    def names(self) -> tuple[str, ...]:
        """All rewrites, in the order that they are applied in."""
        return (*(name for name in REWRITES if name in self.network), *self.file)

    @property
    def exact(self) -> tuple[str, ...]:
        """Those that change no answer beyond float rounding."""
        return tuple(
            name
            for name in self.names
            if (self.file[name].exact if name in self.file else REWRITES[name].exact)
        )

    def require(self, names: Collection[str]) -> None:
        """Check that there are rewrites of these names.

        Raises:
            ConfigError: there is none of a name for this runtime.
        """
        for name in names:
            if name not in self.names:
                raise ConfigError(
                    f"rewrite {name!r} is not one of {', '.join(self.names)} for .{self.format}"
                )

    def require_pictures(self, names: Collection[str], pictures: Pixels | None) -> None:
        """Check that there are pictures where one of these rewrites calibrates.

        Raises:
            ConfigError: there are none.
        """
        for name in names:
            calibrated = name in self.file and self.file[name].calibrated
            if calibrated and (pictures is None or not len(pictures)):
                raise ConfigError(
                    f"rewrite {name!r} calibrates on pictures, and none were given; bring photos"
                    " of the training side or leave it out"
                )


class Built(NamedTuple):
    """The content of a file, and what was applied where, in order."""

    content: Any
    applied: tuple[Applied, ...]

    @property
    def matched(self) -> dict[str, tuple[str, ...]]:
        """What changed something, by name, and where."""
        return {item.rewrite: item.layers for item in self.applied if item.layers}

    @property
    def serialized(self) -> bytes:
        """The content as the bytes of a file."""
        content = self.content
        return content if isinstance(content, bytes) else bytes(content.SerializeToString())


def build_file(
    model: Any, runtime: str, names: Collection[str], *, pictures: Pixels | None = None
) -> Built:
    """Return the file of ``model`` for ``runtime``, rewritten.

    Args:
        model: a functional ``tf_keras`` network; it is not changed.
        runtime: a key of ``RUNTIME_REWRITES``.
        names: of the rewrites, of the network or the file.
        pictures: ``(picture, height, width, 3)`` uint8 of the training side, for the rewrites
            that calibrate; ``None`` where none of them is among the names.

    Raises:
        ConfigError: there is no rewrite of a name for this runtime, or no picture for one that
            calibrates.
        ConversionError: the network cannot be rewritten or converted.
    """
    rewrites = RUNTIME_REWRITES[runtime]
    rewrites.require(names)
    rewrites.require_pictures(names, pictures)
    network = [name for name in names if name in REWRITES]
    applied: tuple[Applied, ...] = ()
    if network:
        model, applied = rewrite_model(model, network)
    content = rewrites.convert(model)
    built = Built(content, applied)
    for name in rewrites.file:
        if name in names:
            built = rewrite_file(built, runtime, name, pictures=pictures)
    return built


def rewrite_file(built: Built, runtime: str, name: str, *, pictures: Pixels | None = None) -> Built:
    """Return a file with one more rewrite of files, without converting its network again.

    Args:
        built: what ``build_file`` gave.
        runtime: a key of ``RUNTIME_REWRITES``.
        name: of the rewrite.
        pictures: as ``build_file`` takes them.

    Raises:
        ConfigError: the rewrite calibrates, and there is no picture.
        ConversionError: the runtime's tool refuses the file.
    """
    rewrites = RUNTIME_REWRITES[runtime]
    rewrites.require_pictures([name], pictures)
    seen = np.zeros((0, 1, 1, 3), np.uint8) if pictures is None else pictures
    content, where = rewrites.file[name].apply(built.content, seen)
    return Built(content, (*built.applied, Applied(rewrite=name, layers=where)))


def write_rewritten(
    parent: Artifact,
    runtime: str,
    built: Built,
    folder: Path,
    found: Mapping[str, JsonValue],
) -> Artifact:
    """Write a rewritten file as an artifact.

    Args:
        parent: the Keras artifact that it was made of.
        runtime: a key of ``RUNTIME_REWRITES``.
        built: what ``build_file`` gave.
        folder: where it goes; must not exist.
        found: what else its manifest says of how it was chosen.

    Raises:
        ConversionError: nothing was rewritten.
        ArtifactError: ``folder`` exists or cannot be written.
    """
    manifest, rewrites = parent.manifest, RUNTIME_REWRITES[runtime]
    matched: dict[str, JsonValue] = {name: list(at) for name, at in built.matched.items()}
    if not matched:
        raise ConversionError(
            f"{manifest.variant}: no rewrite makes it faster on {runtime}; the plain export,"
            f" threadlite optimize float --format {rewrites.format}, is as fast"
        )
    words, precision = [REWRITTEN], manifest.name.precision
    if INT8 in matched or CALIBRATED in matched:
        words, precision = [REWRITTEN, MIXED], "int8-dynamic" if INT8 in matched else "int8"
    plain = manifest.name.as_format(rewrites.format, precision=precision)
    variant = replace(plain, techniques=(*plain.techniques, *words))
    step = Step(
        technique="rewrite",
        config={"format": rewrites.format, "runtime": runtime, "applied": matched, **found},
        parent_sha256=manifest.payload_sha256,
    )
    return derive_artifact(
        folder,
        parent,
        fill=lambda path: rewrites.write(built.content, path, parent, variant),
        variant=variant,
        step=step,
    )


def _litert_products(content: bytes, _: Pixels) -> tuple[bytes, tuple[str, ...]]:
    """Put what XNNPACK has 8-bit kernels for into them: all but depthwise convolutions."""
    there = tuple(name for name in FAST_ON_LITERT if operators_of(content)[name])
    if not there:
        return content, ()
    return to_mixed_dynamic_tflite(content, there), there


def _onnx_products(proto: Any, _: Pixels) -> tuple[Any, tuple[str, ...]]:
    """Put products of matrices into 8 bits; convolutions would be ``ConvInteger``, and slow."""
    found = to_dynamic_onnx(proto, reduce_range=products_overflow_here(), answer_in_float=True)
    there = integer_products(found)
    return (found, there) if there else (proto, ())


def _onnx_calibrated(proto: Any, pictures: Pixels) -> tuple[Any, tuple[str, ...]]:
    """Put convolutions and what products are still in float between Q and DQ, 8 bits each."""
    return to_partly_int8_onnx(
        proto, pictures, kinds=CALIBRATED_KINDS, reduce_range=products_overflow_here()
    )


def _in_place(apply: Callable[[Any], tuple[str, ...]]) -> Callable[[Any, Pixels], Any]:
    return lambda proto, _: (proto, apply(proto))


CALIBRATED_KINDS = ("Conv", "MatMul")
FAST_ON_LITERT = tuple(name for name in OPERATORS if name != "DEPTHWISE_CONV_2D")
RUNTIME_REWRITES: dict[str, RuntimeRewrites] = {
    "litert": RuntimeRewrites(
        format="tflite",
        convert=to_tflite,
        write=write_tflite,
        network=(*EXACT, "tanh-gelu"),
        file={INT8: FileRewrite(_litert_products, exact=False)},
    ),
    "onnxruntime": RuntimeRewrites(
        format="onnx",
        convert=to_onnx,
        write=write_onnx,
        network=(*EXACT, "convolution-to-dense"),
        file={
            "fuse-layer-norm": FileRewrite(_in_place(fuse_layer_norm)),
            "fuse-gelu": FileRewrite(_in_place(fuse_gelu)),
            INT8: FileRewrite(_onnx_products, exact=False),
            CALIBRATED: FileRewrite(_onnx_calibrated, exact=False, calibrated=True),
        },
    ),
}
