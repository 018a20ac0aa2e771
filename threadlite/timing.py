"""The steps of a run that time variants: all of them together, in one turn-taking session."""

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from bench.record import Record
from deploy.runtime import runtime_for
from threadlite.code import code_digest
from threadlite.steps import Steps
from threadlite.variants import identity_of
from threadlite.workspace import step_key
from train.artifact import Artifact
from train.refit import unseen_or_train
from train.splits import select

CONVNEXT = "convnext-tiny"
LAYER_PHOTOS = 4  # that a layer's numerical error is measured on


def time_variants(steps: Steps, variants: Sequence[Artifact]) -> list[Record]:
    """Time all variants together, interleaved; a variant more or less times all again."""
    from bench.latency import measure_latencies

    plan, progress = steps.plan.bench, steps.progress
    pairs = [(variant, runtime_for(variant.manifest.name.format)) for variant in variants]
    inputs = _inputs(steps, variants) | {
        "rounds": plan.rounds, "child": code_digest("bench.worker")
    }  # fmt: skip

    def make() -> list[Record]:
        (picture,) = select(steps.dataset.photos, unseen_or_train(variants[0].split())[:1])
        progress.begin("timing, turns", len(pairs) * plan.rounds)
        return list(
            measure_latencies(
                pairs,
                threads=plan.threads,
                rounds=plan.rounds,
                environment=steps.environment.environment,
                picture=picture.path,
                advance=progress.advance,
            )
        )

    return steps.workspace.records("latency", step_key("bench.latency", inputs), make)


def time_layers(
    steps: Steps, variants: Sequence[Artifact], networks: Sequence[Artifact]
) -> list[Record]:
    """Time every layer of all variants, each against the Keras network that it was made from."""
    from bench.measure_layers import layer_records

    inputs = _inputs(steps, variants) | {
        "networks": [identity_of(network) for network in networks],
        "children": [
            code_digest(child) for child in ("bench.profile_worker", "bench.error_worker")
        ],
    }

    def make() -> list[Record]:
        steps.progress.begin("timing layers, variants", len(variants))
        ids = unseen_or_train(variants[0].split())[:LAYER_PHOTOS]
        return list(
            layer_records(
                variants,
                networks,
                photos=[photo.path for photo in select(steps.dataset.photos, ids)],
                threads=steps.plan.bench.threads,
                environment=steps.environment.environment,
                advance=steps.progress.advance,
            )
        )

    return steps.workspace.records("layers", step_key("bench.measure_layers", inputs), make)


def time_rewrites(steps: Steps, networks: Sequence[Artifact]) -> list[Record]:
    """Time ConvNeXt-Tiny's rewritten forms against Keras' own, and judge those of a trained one.

    Args:
        steps: of the run.
        networks: trained ones; the first ConvNeXt-Tiny among them is judged, if there is one.
    """
    from threadlite.rewrites import PHOTOS, ROUNDS, measure_rewrites

    data, size = steps.plan.data, steps.plan.bench.rewrites
    trained = [one for one in networks if one.manifest.approach == CONVNEXT]
    inputs = {
        "size": size,
        "trained": [identity_of(network) for network in trained[:1]],
        "dataset": steps.dataset.fingerprint,
        "machine": steps.environment.environment,
        "children": [code_digest(child) for child in ("bench.worker", "bench.profile_worker")],
    }
    arguments = Namespace(
        image_size=size,
        rounds=ROUNDS,
        photos=PHOTOS,
        trained=trained[0].folder if trained else None,
        data=data.source,
        image_column=data.image_column,
        label_column=data.label_column,
        sender_column=data.sender_column,
    )

    def make() -> list[Record]:
        return measure_rewrites(arguments, steps.progress, steps.environment)

    return steps.workspace.records("rewrites", step_key("threadlite.rewrites", inputs), make)


def _inputs(steps: Steps, variants: Sequence[Artifact]) -> dict[str, Any]:
    return {
        "variants": [identity_of(variant) for variant in variants],
        "threads": steps.plan.bench.threads,
        "machine": steps.environment.environment,
    }
