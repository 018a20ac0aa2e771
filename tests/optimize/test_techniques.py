"""The table of techniques, and settings as a plan gives them."""

import pytest

from optimize.quantize import QuantizeConfig, quantize_int8
from optimize.techniques import TECHNIQUES, find_technique, make_config
from train.errors import ConfigError, UsageError


def test_int8_stands_in_the_table() -> None:
    assert find_technique("int8") == (QuantizeConfig, quantize_int8)
    assert "int8" in TECHNIQUES


def test_an_unknown_technique_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"technique 'int7' is not one of .*int8"):
        find_technique("int7")


def test_settings_lie_over_the_defaults() -> None:
    assert make_config("int8", {"photos": 64}) == QuantizeConfig(photos=64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"photoes": 64}, "int8 has no setting 'photoes'; it has photos, seed"),
        ({"photos": "64"}, "int8: photos must be of type int, got '64'"),
        ({"photos": True}, "int8: photos must be of type int, got True"),
        ({"photos": 2}, "photos must be at least 8"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config("int8", settings)
