"""Words that several commands share."""

import argparse

import pytest

from threadlite.cli import build_parser
from threadlite.options import parse_settings, source_options
from train.approaches import APPROACHES
from train.dataset import DROPPED_LABELS
from train.errors import UsageError


def words(*given: str) -> argparse.Namespace:
    return build_parser().parse_args(given)


def test_settings_are_toml_values() -> None:
    found = parse_settings(["epochs=5", "augment.flip=false", "name=plain", "rates=[1, 2]"])
    assert found == {"epochs": 5, "augment": {"flip": False}, "name": "plain", "rates": [1, 2]}
    for wrong in (["epochs"], ["augment=1", "augment.flip=false"]):
        with pytest.raises(UsageError):
            parse_settings(wrong)


@pytest.mark.parametrize("command", ["train", "crossval"])
def test_list_names_every_approach_of_the_table(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        words(command, "--list")
    assert caught.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(APPROACHES)
    assert all(row.about in line for line, row in zip(lines, APPROACHES.values(), strict=True))


def test_a_source_is_read_as_the_words_say() -> None:
    found = source_options(
        words("data", "x", "--classes", "top3", "--drop", "a, b ,", "--seed", "7")
    )
    assert (found.classes, found.dropped_labels, found.seed) == ("top3", ("a", "b"), 7)
    found = source_options(words("data", "x", "--label-column", "kind"))
    assert (found.classes, found.dropped_labels) == ("all", DROPPED_LABELS)
    assert (found.image_column, found.label_column) == ("image", "kind")
