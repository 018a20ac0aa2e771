"""One network an approach, by the validation photos and never by the test photos."""

from typing import Any

from bench.record import Record
from bench.report_chosen import chosen_rows
from bench.report_content import build_report
from tests.bench.test_report_crossval import LABELS, crossval, judged, training

ALL_RIGHT, HALF_RIGHT, ALL_WRONG = (0, 0, 1, 1), (0, 1, 1, 0), (1, 1, 0, 0)


def trained(letter: str, validation: Any, test: Any, **changes: Any) -> list[Record]:
    """Return one network's records: its training, and what it predicts on both sides."""
    one: dict[str, Any] = {"network_sha256": letter * 64, **changes}
    return [
        training(**one),
        judged(variant_sha256=letter, predictions=test, **one),
        judged(variant_sha256=letter, predictions=validation, side="validation", **one),
    ]


def chosen(*records: Record) -> Any:
    return chosen_rows(build_report(records, title="t").approaches)


def test_the_validation_photos_choose_even_where_the_test_photos_speak_against_it() -> None:
    (row,) = chosen(
        *trained("a", validation=HALF_RIGHT, test=ALL_RIGHT),
        *trained("b", validation=ALL_RIGHT, test=ALL_WRONG, environment="two"),
        crossval(environment="one"),
    )
    assert row.stratified.validation.weighted_f1 == 1.0
    assert row.stratified.test.weighted_f1 == 0.0
    assert row.stratified.crossval is not None  # it stood beside the other network
    assert (row.network, row.again) == ("", False)
    assert row.original is not None and row.original.f1 == 0.66


def test_of_equals_the_first_stands() -> None:
    (row,) = chosen(
        *trained("a", validation=HALF_RIGHT, test=ALL_WRONG),
        *trained("b", validation=HALF_RIGHT, test=ALL_RIGHT, environment="two"),
    )
    assert row.stratified.test.weighted_f1 == 0.0


def test_each_split_has_a_choice_of_its_own() -> None:
    (row,) = chosen(
        *trained("a", validation=ALL_RIGHT, test=HALF_RIGHT),
        *trained("b", validation=ALL_WRONG, test=ALL_RIGHT, environment="two"),
        *trained("c", validation=ALL_WRONG, test=ALL_RIGHT, split_method="grouped"),
        *trained(
            "d", validation=ALL_RIGHT, test=ALL_WRONG, split_method="grouped", environment="two"
        ),
    )
    assert row.stratified.test.weighted_f1 == 0.5
    assert row.grouped.test.weighted_f1 == 0.0


def test_a_network_that_no_validation_photos_judge_stands_only_alone() -> None:
    unjudged = [training(), judged(predictions=ALL_RIGHT)]
    (row,) = chosen(*unjudged)
    assert row.stratified.test.weighted_f1 == 1.0
    (row,) = chosen(*unjudged, *trained("b", validation=ALL_WRONG, test=ALL_WRONG))
    assert row.stratified.test.weighted_f1 == 0.0


def test_other_approaches_and_other_classes_keep_their_rows() -> None:
    other = {"approach": "mobilenet-v2"}
    lite = [
        training(network_sha256="b" * 64, **other),
        judged(variant="mobilenet-v2.float.tflite", network_sha256="b" * 64),
    ]
    three = trained("c", validation=ALL_RIGHT, test=ALL_RIGHT, labels=(*LABELS, "Shoe"))
    rows = chosen(*trained("a", validation=ALL_RIGHT, test=ALL_RIGHT), *lite, *three)
    assert [(row.approach, row.classes) for row in rows] == [
        ("custom-cnn", 2), ("custom-cnn", 3), ("mobilenet-v2", 2),
    ]  # fmt: skip


def test_folds_alone_are_a_row() -> None:
    (row,) = chosen(crossval())
    assert row.grouped is None
    assert row.stratified.test is None and row.stratified.crossval is not None
