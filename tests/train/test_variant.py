import pytest

from train.errors import UsageError
from train.variant import Variant, parse_variant


@pytest.mark.parametrize(
    "name",
    [
        "custom-cnn.float.keras",
        "custom-cnn.int8.tflite",
        "convnext-tiny.rewritten.int8-dynamic.tflite",
        "efficientnet-lite0.pruned.clustered.int16x8.onnx",
    ],
)
def test_names_read_back_as_written(name: str) -> None:
    assert str(parse_variant(name)) == name


def test_parts_are_told_apart() -> None:
    found = parse_variant("convnext-tiny.rewritten.int8.tflite")
    assert found == Variant(
        network="convnext-tiny", techniques=("rewritten",), precision="int8", format="tflite"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("custom-cnn", "must read network"),
        ("custom-cnn.int4.tflite", "precision 'int4'"),
        ("custom-cnn.int8.gguf", "format 'gguf'"),
        ("Custom.int8.tflite", "'Custom'"),
        ("a.int8.int8.tflite", "is a precision"),
        ("../up.int8.tflite", "must be lower-case"),
    ],
)
def test_other_names_are_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace(".", r"\.")):
        parse_variant(name)


def test_another_format_keeps_the_rest() -> None:
    trained = Variant(network="net", techniques=("pruned",))
    assert str(trained.as_format("onnx", precision="int8")) == "net.pruned.int8.onnx"
