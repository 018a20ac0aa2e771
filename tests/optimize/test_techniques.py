"""The table of techniques, and settings as a plan gives them."""

import pytest

from optimize.quantize import QuantizeConfig, quantize_int8
from optimize.resolution import ResolutionConfig
from optimize.shrink import ShrinkConfig
from optimize.techniques import TECHNIQUES, Chain, find_technique, make_config, parse_chain
from train.errors import ConfigError, UsageError


def test_int8_stands_in_the_table() -> None:
    assert find_technique("int8")[:2] == (QuantizeConfig, quantize_int8)
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


def test_a_chain_is_read_in_order_with_the_file_last() -> None:
    assert parse_chain("int8") == Chain(networks=(), file="int8")
    assert parse_chain("shrink+prune+int8") == Chain(networks=("shrink", "prune"), file="int8")
    assert parse_chain("cluster") == Chain(networks=("cluster",), file="")
    labels = [parse_chain(text).label for text in ("int8", "shrink+int8", "prune+cluster")]
    assert labels == ["int8", "shrunk.int8", "pruned.clustered.float"]


def test_a_name_may_carry_its_value() -> None:
    chain = parse_chain("shrink+resolution@160+selective")
    assert chain.names == ("shrink", "resolution@160", "selective")
    assert (chain.label, parse_chain("resolution").label) == (
        "shrunk.at160.selective", "resized.float"
    )  # fmt: skip
    config = make_config("resolution@96", {"epochs": 0, "size": 128})
    assert config == ResolutionConfig(size=96, epochs=0)
    assert parse_chain("shrink@30+int8").label == "shrunk30.int8"
    shrunk = make_config("shrink@30", {"maccs": 0.5})
    assert (shrunk.share, shrunk.word) == (0.3, "shrunk30")
    assert (ShrinkConfig(maccs=0.4).share, ShrinkConfig().word) == (0.4, "shrunk")
    with pytest.raises(ConfigError, match="percent must be from 0 to 100, got 130"):
        make_config("shrink@130", {})
    with pytest.raises(ConfigError, match="size must be from 32 to 512 pixels, got 4"):
        make_config("resolution@4", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shrink+int7", "technique 'int7' is not one of .*int8"),
        ("shrink+", "technique '' is not one of"),
        ("int8+shrink", "int8 writes a file, from which nothing more is made; put it last"),
        ("shrink+shrink", "name shrink twice"),
        ("resolution@96+resolution@64", "name resolution twice"),
        ("prune@3", r"technique 'prune@3': a value is given as in .*resolution@NUMBER alone"),
        ("shrink@0", r"'shrink@0': a value is given as in shrink@NUMBER, resolution@NUMBER alone"),
        ("resolution@half", r"'resolution@half': a value is given as in .*resolution@NUMBER alone"),
        ("selective+int8", "selective writes a file"),
        ("prune+quantize-aware", "quantize-aware and prune each undo what the other has done"),
        ("quantize-aware+shrink", "shrink would undo what quantize-aware has done; put shrink bef"),
        ("cluster+resolution@96", "resolution would undo what cluster has done"),
        ("prune+shrink", "shrink would undo what prune has done; put shrink before it"),
        ("shrink+cluster+prune", "prune would undo what cluster has done; put prune before it"),
    ],
)
def test_chains_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_chain(text)


def test_what_spoils_and_is_spoilt_is_known() -> None:
    for technique in TECHNIQUES.values():
        assert set(technique.spoils) <= set(TECHNIQUES)
        assert all(TECHNIQUES[name].word for name in technique.spoils)
