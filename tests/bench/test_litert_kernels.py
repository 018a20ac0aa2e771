"""Kernels of XNNPACK laid beside the operators of the file, on lists seen and made up."""

import pytest

from bench.litert_kernels import assign_kernels

CONV, GEMM = "Convolution (NHWC, F32) IGEMM", "Fully Connected (NC, F32) GEMM"
ADD, CLAMP, MEAN = "Add (ND)", "Clamp (NC)", "Mean (ND) Reduce2"
RESHAPE, UNARY = "Static Reshape (NC)", "Invalid Unary Op"


@pytest.mark.parametrize(
    ("operators", "kernels", "owners"),
    [
        (["CONV_2D", "ADD"], [CONV, ADD], [0, 1]),
        # An addition with its ReLU; a 1x1 convolution as a matrix product; a mean in two.
        (
            ["CONV_2D", "ADD", "CONV_2D", "MEAN", "FULLY_CONNECTED"],
            [CONV, ADD, CLAMP, GEMM, MEAN, RESHAPE, GEMM],
            [0, 1, 1, 2, 3, 3, 4],
        ),
        # Scaling in int8: a multiplication and an addition melted into one table.
        (["MUL", "ADD", "CONV_2D"], [UNARY, CONV], [0, 2]),
        # A padding that the convolution takes in.
        (["PAD", "CONV_2D", "DEPTHWISE_CONV_2D"], [CONV, CONV], [1, 2]),
        (["PAD", "CONV_2D"], ["Constant Pad (ND, X32)", CONV], [0, 1]),
        # What stands in no table may be anything; what fits nothing stays alone.
        (["CUSTOM", "SOFTMAX"], ["Spin (ND)", "Softmax (NC, F32)"], [0, 1]),
        (["SOFTMAX"], ["Spin (ND)", "Softmax (NC, F32)"], [None, 0]),
        ([], [ADD], [None]),
        (["RESHAPE"], [], []),
    ],
)
def test_each_kernel_finds_its_operator(
    operators: list[str], kernels: list[str], owners: list[int | None]
) -> None:
    assert assign_kernels(operators, kernels) == owners
