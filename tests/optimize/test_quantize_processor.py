"""Whether 8-bit products overflow, from what processors say of themselves."""

import pytest

from optimize import quantize, quantize_processor
from optimize.quantize import QuantizeConfig
from optimize.quantize_processor import products_overflow


def flags(*names: str) -> str:
    return f"model name\t: a processor\nflags\t\t: fpu sse2 {' '.join(names)} hypervisor\n"


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "overflows"),
    [
        ("x86_64", flags("avx2"), True),
        ("x86_64", flags("avx2", "avx512f"), True),  # wide registers alone do not help
        ("x86_64", flags("avx2", "avx512f", "avx512_vnni"), False),
        ("AMD64", flags("avx2", "avx_vnni"), False),
        ("x86_64", "", True),  # not Linux: the safe answer
        ("aarch64", "Features\t: fp asimd asimddp\n", False),
        ("arm64", "", False),
    ],
)
def test_overflow_follows_from_the_processor(machine: str, cpuinfo: str, overflows: bool) -> None:
    assert products_overflow(machine, cpuinfo) is overflows


@pytest.mark.parametrize("overflows", [True, False])
def test_auto_reduces_the_range_where_products_overflow(
    monkeypatch: pytest.MonkeyPatch, overflows: bool
) -> None:
    monkeypatch.setattr(quantize, "products_overflow_here", lambda: overflows)
    assert QuantizeConfig().reduces_range() is overflows
    assert QuantizeConfig(onnx_reduce_range="yes").reduces_range()
    assert not QuantizeConfig(onnx_reduce_range="no").reduces_range()
    assert not QuantizeConfig(onnx_activations="int8").reduces_range()  # the sums are of int8s


def test_this_processor_has_an_answer() -> None:
    assert quantize_processor.products_overflow_here() in (True, False)
