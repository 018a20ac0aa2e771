"""The recipes: trainings of one network side by side, what differs in them and what it was worth.

Trainings are of one network where it has as many parameters and the same photos judge it; the
first one is what the others are held against.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from bench.record import CostRecord, Record, TrainingRecord, of_kind
from bench.report_approaches import REFIT, TRAINED, plain_floats
from bench.report_format import as_count, as_f1, as_points, as_share, as_whole, listed
from bench.report_layout import Table
from bench.report_scores import change_between
from bench.report_tables import Accuracies, Side, VariantRow
from bench.scores import Difference, Scores
from train.approaches import Recipe

HEADERS = (
    "training", "what was changed", "validation: weighted F1 [95 %]", "against the first, points",
    "test: weighted F1 [95 %]", "against the first, points", "epochs", "seconds",
)  # fmt: skip
BASELINE = "what the others are held against"
MEANING = (
    "Against the first, photo by photo, with 95 % intervals over senders: one that holds 0 shows"
    " nothing. What another seed would change is not in them. Validation photos are to choose by;"
    " a network that was trained on them has no figure there."
)
_MANY = 4  # differences of which some lie off 0 by chance
_SHOWN = 8  # settings named of one training
# What a training did whose record is older than the setting.
_DEFAULTS = Recipe(image_size=224).model_dump(mode="json", exclude={"image_size"})
_Group = tuple[str, str, int | str]  # split, photos, parameters or else the approach


@dataclass(frozen=True, kw_only=True)
class RecipeRow:
    """One training beside the first of its network; ``None``: not measured, or the first itself.

    Attributes:
        baseline: the first training of the network.
        is_first: whether this is it.
        photos: key of the ``Photos`` that judge it; empty where no record tells them.
        changed: settings that differ from the first one's, ``name: before → after``.
        validation: of the float variant on the validation photos.
        validation_change: weighted F1 on them less the first one's.
        best_validation_f1: as the training itself saw it.
        test: of the float variant on the test photos.
        test_change: weighted F1 on them less the first one's.
        seconds: wall time of all epochs, and of frozen features that were computed for them.
    """

    approach: str
    baseline: str
    split_method: str
    photos: str
    changed: tuple[str, ...]
    validation: Scores | None
    validation_change: Difference | None
    best_validation_f1: float | None
    test: Scores | None
    test_change: Difference | None
    epochs: int
    seconds: float
    is_first: bool = False


def recipe_rows(
    records: Sequence[Record], rows: Sequence[VariantRow], accuracies: Accuracies
) -> tuple[RecipeRow, ...]:
    """Return the trainings of networks that were trained in two ways or more, network by network.

    Args:
        records: what was recorded.
        rows: the variants.
        accuracies: their predictions.
    """
    trainings = {
        (one.split_method, one.network_sha256, one.approach): one
        for one in of_kind(records, TrainingRecord)
    }
    parameters = {
        (one.split_method, one.network_sha256): one.parameters
        for one in reversed(of_kind(records, CostRecord))
        if one.network_sha256 and _is_plain(one.variant)
    }
    groups: dict[_Group, list[TrainingRecord]] = {}
    for one in trainings.values():
        photos = accuracies.photos.of(one)
        size = parameters.get((one.split_method, one.network_sha256), one.approach)
        key = (one.split_method, photos.key if photos else "", size)
        groups.setdefault(key, []).append(one)
    floats: dict[tuple[str, str], VariantRow] = {}
    for row in plain_floats(rows):
        floats.setdefault((row.split_method, row.network_sha256), row)
    return tuple(
        _row(one, group[0], photos, floats, accuracies)
        for (_, photos, _), group in groups.items()
        if len(group) > 1
        for one in group
    )


def recipe_tables(rows: Sequence[RecipeRow], accuracies: Accuracies) -> tuple[Table, ...]:
    """Return one table a network, split and set of photos."""
    groups: dict[tuple[str, str, str], list[RecipeRow]] = {}
    for row in rows:
        groups.setdefault((row.split_method, row.photos, row.baseline), []).append(row)
    return tuple(
        Table(
            caption=_caption(split_method, photos, first, accuracies),
            headers=HEADERS,
            rows=tuple(_cells(row) for row in group),
            words=2,
            note=_note(group),
        )
        for (split_method, photos, first), group in groups.items()
    )


def _caption(split_method: str, photos: str, first: str, accuracies: Accuracies) -> str:
    where = (f"{split_method} split", accuracies.photos.name(photos))
    return ", ".join(filter(None, (f"Recipes beside {first}", *where)))


def _is_plain(variant: str) -> bool:
    return len(variant.split(".")) == 3  # network.precision.format


def _row(
    one: TrainingRecord,
    first: TrainingRecord,
    photos: str,
    floats: dict[tuple[str, str], VariantRow],
    accuracies: Accuracies,
) -> RecipeRow:
    mine, theirs = (floats.get((each.split_method, each.network_sha256)) for each in (one, first))
    fitted = one.validation_f1s or one.head_validation_f1 is not None
    return RecipeRow(
        approach=one.approach,
        baseline=first.approach,
        split_method=one.split_method,
        photos=photos,
        changed=() if one is first else differences(first, one),
        validation=mine.validation_f1 if mine else None,
        validation_change=_change(mine, theirs, "validation", accuracies),
        best_validation_f1=one.best_validation_f1 if fitted else None,
        test=mine.f1 if mine else None,
        test_change=_change(mine, theirs, "test", accuracies),
        epochs=len(one.train_losses),
        seconds=one.train_seconds + one.feature_seconds,
        is_first=one is first,
    )


def _change(
    mine: VariantRow | None, theirs: VariantRow | None, side: Side, accuracies: Accuracies
) -> Difference | None:
    if mine is None or theirs is None or mine is theirs:
        return None
    before, after = accuracies.of(theirs, side), accuracies.of(mine, side)
    return change_between(before, after) if before and after else None


def differences(first: TrainingRecord, other: TrainingRecord) -> tuple[str, ...]:
    """Return what differs from ``first`` to ``other``, as ``name: before → after``."""
    before, after = (_settings(one) for one in (first, other))
    names = dict.fromkeys((*before, *after))
    return tuple(
        f"{name}: {_text(before.get(name))} → {_text(after.get(name))}"
        for name in names
        if before.get(name) != after.get(name)
    )


def _settings(one: TrainingRecord) -> dict[str, JsonValue]:
    """Return every setting of a training by its name in a plan."""
    found: dict[str, JsonValue] = {}

    def collect(value: JsonValue, name: str) -> None:
        if isinstance(value, dict):
            known = _DEFAULTS | value if name == "recipe" else value
            for key, inner in known.items():
                plain = name in ("", "recipe")
                collect(inner, key if plain else f"{name}.{key}")
        else:
            found[name] = value

    collect(one.recipe, "")
    refit = one.photos.get("validation") == 0
    found["trained on"] = REFIT if refit else TRAINED
    return found | {"seed": one.seed, "weights": one.weights_source}


def _text(value: JsonValue) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def _cells(row: RecipeRow) -> tuple[str, ...]:
    changed = listed(row.changed, _SHOWN) if row.changed else "nothing"
    validation = as_f1(row.validation) if row.validation else as_share(row.best_validation_f1)
    return (
        row.approach,
        BASELINE if row.is_first else changed,
        validation,
        as_points(row.validation_change),
        as_f1(row.test),
        as_points(row.test_change),
        as_count(row.epochs),
        as_whole(row.seconds),
    )


def _note(rows: Sequence[RecipeRow]) -> str:
    """Return how many differences would lie off 0 by chance; nothing where there are few."""
    changes = [row.validation_change for row in rows if row.validation_change]
    if len(changes) < _MANY:
        return ""
    off = sum(one.low > 0.0 or one.high < 0.0 for one in changes)
    return (
        f"Of {len(changes)} differences on the validation photos {off}"
        f" {'lies' if off == 1 else 'lie'} off 0; {0.05 * len(changes):.1f} would by chance."
    )
