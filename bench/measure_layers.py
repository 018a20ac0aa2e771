"""Every layer of every variant: time, MACCs, share of this machine's peak, and numerical error.

Each model is run in processes of its own. What fails costs one failure with its reason, and the
others go on.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from bench.cost import count_layers
from bench.environment import usable_cores
from bench.layer_errors import measure_errors, with_errors
from bench.layer_times import ProfilePlan, layer_failure, measure_layer_times
from bench.layers import precision_of
from bench.record import FailureRecord
from bench.record_layers import LayerCount, LayerTimesRecord, PeakRecord
from bench.roofline import SIDE, Precision, measure_peak
from deploy.runtime import runtime_for
from optimize.convert import export_float
from train.artifact import Artifact
from train.errors import ThreadliteError
from train.keras_file import load_keras
from train.pixels import decode

LayersRecord = LayerTimesRecord | PeakRecord | FailureRecord
_AT_ONCE = 4  # a large network holds a gigabyte with all of its tensors in view


def layer_records(
    variants: Sequence[Artifact],
    networks: Sequence[Artifact] = (),
    *,
    photos: Sequence[Path],
    threads: int,
    environment: str,
    plan: ProfilePlan | None = None,
    peak_side: int = SIDE,
    advance: Callable[[int], None] | None = None,
) -> list[LayersRecord]:
    """Return the layers of every variant on its runtime, and the peaks to hold them against.

    Layers and MACCs are those of the Keras network that a variant was made from, where that is
    among ``networks``; else those that its file tells of. The error is measured against the float
    variant of the same network and format among ``variants``, else against one that is exported
    for the purpose from the Keras network; where there is neither, it is left out.

    Args:
        variants: ``.tflite`` and ``.onnx`` artifacts.
        networks: Keras artifacts that they were made from.
        photos: pictures that judge nothing, so not of the test side; the first is timed on, all
            are compared on.
        threads: threads each runtime is given.
        environment: name of the environment record.
        plan: how often to call; the defaults if ``None``.
        peak_side: rows of the matrix product that the peak is measured with.
        advance: called with 1 when each variant has been timed; errors are measured after that.

    Returns:
        A record a variant, in the order given; then failures of parts of it (stages
        ``layer-errors`` and ``peak``), and a peak for each runtime and precision.

    Raises:
        ConfigError: ``threads`` is less than one.
        DataError: a picture cannot be decoded.
    """
    known = {one.manifest.payload_sha256: one for one in networks}
    counts = _Counts(known)
    records: list[LayersRecord] = []
    for variant in variants:
        (record,) = measure_layer_times(
            [(variant, runtime_for(variant.manifest.name.format))],
            threads=threads,
            environment=environment,
            picture=photos[0],
            plan=plan,
        )
        if isinstance(record, LayerTimesRecord):
            record = counts.laid_to(record, variant)
        records.append(record)
        if advance is not None:
            advance(1)
    failures = _compare(records, variants, known, photos, environment)
    timed = [
        (variant, record)
        for variant, record in zip(variants, records, strict=True)
        if isinstance(record, LayerTimesRecord)
    ]
    return [*records, *failures, *_peaks(timed, threads, environment, plan, peak_side)]


def network_of(variant: Artifact, networks: Mapping[str, Artifact]) -> Artifact | None:
    """Return the Keras network that a variant was written from; ``None`` where it is not there.

    Args:
        variant: a ``.tflite`` or ``.onnx``.
        networks: Keras artifacts by the digest of their payload.
    """
    return networks.get(variant.manifest.steps[-1].parent_sha256 or "")


class _Counts:
    """The layers of Keras networks, each counted once."""

    def __init__(self, networks: Mapping[str, Artifact]) -> None:
        self._networks = networks
        self._found: dict[str, tuple[LayerCount, ...]] = {}

    def laid_to(self, record: LayerTimesRecord, variant: Artifact) -> LayerTimesRecord:
        """Return ``record`` with the network's layers, where they can be counted."""
        network = network_of(variant, self._networks)
        if network is None:
            return record
        digest = network.manifest.payload_sha256
        if digest not in self._found:
            self._found[digest] = _counted(network)
        layers = self._found[digest]
        if not layers:
            return record
        return record.model_copy(update={"layers": layers, "counted_from": "keras"})


def _counted(network: Artifact) -> tuple[LayerCount, ...]:
    """Return a network's layers; none where it cannot be opened or counted."""
    try:
        costs = count_layers(load_keras(network.payload))
    except ThreadliteError:  # the file's own count, which the record names, stands in
        return ()
    return tuple(LayerCount(name=one.name, kind=one.kind, maccs=one.maccs) for one in costs)


@contextmanager
def _references(
    variants: Sequence[Artifact], networks: Mapping[str, Artifact]
) -> Iterator[Callable[[Artifact], Artifact | None]]:
    """Yield what finds or exports the float model that a variant is compared with."""
    made = {_origin(one): one for one in variants if _is_plain_float(one)}

    def reference_of(variant: Artifact) -> Artifact | None:
        if _is_plain_float(variant):
            return None
        origin, network = _origin(variant), network_of(variant, networks)
        if origin not in made and network is not None:
            folder = Path(scratch) / str(len(made))
            made[origin] = export_float(network, variant.manifest.name.format, folder)
        return made.get(origin)

    with tempfile.TemporaryDirectory(prefix="threadlite-layers-") as scratch:
        yield reference_of


def _origin(variant: Artifact) -> tuple[str | None, str]:
    return variant.manifest.steps[-1].parent_sha256, variant.manifest.name.format


def _is_plain_float(variant: Artifact) -> bool:
    return variant.manifest.steps[-1].technique == "convert"


def _compare(
    records: list[LayersRecord],
    variants: Sequence[Artifact],
    networks: Mapping[str, Artifact],
    photos: Sequence[Path],
    environment: str,
) -> list[LayersRecord]:
    """Put the errors of their layers into the records; return what failed.

    Nothing is timed here, so that as many variants are compared at once as there are cores.
    """
    failures: list[LayersRecord] = []
    jobs: dict[int, Future[LayerTimesRecord]] = {}
    with (
        _references(variants, networks) as reference_of,
        ThreadPoolExecutor(min(usable_cores(), _AT_ONCE)) as pool,
    ):

        def attempt(place: int, step: Callable[[], None]) -> None:
            try:
                step()
            except ThreadliteError as error:
                runtime = runtime_for(variants[place].manifest.name.format)
                failures.append(
                    layer_failure(
                        variants[place], runtime, environment, error, stage="layer-errors"
                    )
                )

        def submit(place: int, record: LayerTimesRecord) -> None:
            reference = reference_of(variants[place])
            if reference is not None:
                jobs[place] = pool.submit(_compared, record, variants[place], reference, photos)

        def collect(place: int) -> None:
            records[place] = jobs[place].result()

        for place, record in enumerate(records):
            if isinstance(record, LayerTimesRecord):
                attempt(place, partial(submit, place, record))
        for place in tuple(jobs):
            attempt(place, partial(collect, place))
    return failures


def _compared(
    record: LayerTimesRecord, variant: Artifact, reference: Artifact, photos: Sequence[Path]
) -> LayerTimesRecord:
    """Return ``record`` with the errors of its layers."""
    pictures = np.stack([decode(photo, variant.manifest.pixels) for photo in photos])
    runtime = runtime_for(variant.manifest.name.format)
    errors = measure_errors(reference.payload, variant.payload, runtime, pictures)
    return with_errors(
        record,
        errors,
        float_sha256=reference.manifest.payload_sha256,
        pictures=len(pictures),
    )


def _peaks(
    timed: Sequence[tuple[Artifact, LayerTimesRecord]],
    threads: int,
    environment: str,
    plan: ProfilePlan | None,
    side: int,
) -> Iterator[PeakRecord | FailureRecord]:
    """Yield the peak of each runtime and precision that was timed."""
    needed: dict[tuple[str, Precision], Artifact] = {}
    for variant, record in timed:
        precision = precision_of(record)
        if precision is not None:
            needed.setdefault((runtime_for(variant.manifest.name.format), precision), variant)
    for (runtime, precision), variant in needed.items():
        try:
            yield measure_peak(
                runtime, precision, threads=threads, environment=environment, side=side, plan=plan
            )
        except ThreadliteError as error:
            yield layer_failure(variant, runtime, environment, error, stage="peak")
