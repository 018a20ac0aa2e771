"""Which operators of a ``.tflite`` the kernels of XNNPACK belong to.

XNNPACK numbers its kernels by itself: one operator may take several (a mean is a reduction and a
reshape), and several may melt into one. Both lists are in order of execution, so they are laid
beside one another at the least cost, as in the alignment of two sequences (Needleman & Wunsch
1970): a kernel goes to an operator that it can serve, and what fits nowhere stays unmatched.
"""

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

_GEMM = ("fully connected", "batch matrix multiply", "gemm")
_RESHAPE = ("reshape", "copy")
_CLAMP = ("clamp",)
# Operator -> words of which a kernel that begins it has one.
HEADS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "CONV_2D": ("convolution", *_GEMM),  # a 1x1 convolution runs as a matrix product
        "DEPTHWISE_CONV_2D": ("convolution",),
        "TRANSPOSE_CONV": ("deconvolution",),
        "FULLY_CONNECTED": _GEMM,
        "BATCH_MATMUL": _GEMM,
        "AVERAGE_POOL_2D": ("average pooling", "sum pooling"),
        "MAX_POOL_2D": ("max pooling",),
        "MEAN": ("mean", "reduce", "average pooling"),
        "SUM": ("sum", "reduce"),
        "ADD": ("add",),
        "SUB": ("subtract",),
        "MUL": ("multiply",),
        "DIV": ("divide",),
        "MAXIMUM": ("maximum",),
        "MINIMUM": ("minimum",),
        "SQUARED_DIFFERENCE": ("squared difference",),
        "SOFTMAX": ("softmax",),
        "LOGISTIC": ("sigmoid",),
        "TANH": ("tanh",),
        "GELU": ("gelu",),
        "ELU": ("elu",),
        "EXP": ("exp",),
        "HARD_SWISH": ("hardswish",),
        "LEAKY_RELU": ("leaky",),
        "RELU": _CLAMP,
        "RELU6": _CLAMP,
        "RSQRT": ("reciprocal square root",),
        "SQRT": ("square root",),
        "SQUARE": ("square",),
        "RESHAPE": _RESHAPE,
        "EXPAND_DIMS": _RESHAPE,
        "TRANSPOSE": ("transpose",),
        "CONCATENATION": ("concatenate", "copy"),
        "PAD": ("pad",),
        "SLICE": ("slice",),
        "STRIDED_SLICE": ("slice",),
        "RESIZE_BILINEAR": ("resize",),
        "QUANTIZE": ("convert",),
        "DEQUANTIZE": ("convert",),
        "CAST": ("convert",),
    }
)
_ELEMENTWISE = frozenset(
    {"ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "LOGISTIC", "TANH", "GELU", "ELU", "EXP"}
    | {"HARD_SWISH", "LEAKY_RELU", "RELU", "RELU6", "RSQRT", "SQRT", "SQUARE"}
)
_FOLLOWERS = ("clamp", "reshape", "copy", "convert", "transpose", "pad", "unary")
_ELIDED = _ELEMENTWISE | {"PAD", "RESHAPE", "EXPAND_DIMS", "TRANSPOSE", "QUANTIZE", "DEQUANTIZE"}

_FITS, _FOLLOWS, _LOOSELY, _UNKNOWN = 0.0, 0.3, 0.5, 2.0  # a kernel given to an operator
_CHEAP_SKIP, _SKIP = 1.0, 4.0  # an operator without a kernel
_UNMATCHED = 5.0  # a kernel without an operator


def assign_kernels(operators: Sequence[str], kernels: Sequence[str]) -> list[int | None]:
    """Return for each kernel the index of its operator; ``None`` where it fits none.

    Args:
        operators: kinds of the delegated operators, in order of execution: ``CONV_2D``.
        kernels: what ran, in order: ``Convolution (NHWC, F32) IGEMM``.
    """
    ops, runs = len(operators), len(kernels)
    # cost[o, k]: of the first o operators and k kernels; come[o, k]: how that is reached.
    cost = np.full((ops + 1, runs + 1), np.inf)
    come = np.zeros((ops + 1, runs + 1), np.int8)
    cost[0, 0] = 0.0
    for o in range(ops + 1):
        for k in range(runs + 1):
            for step, value in _ways(operators, kernels, cost, o, k):
                if value < cost[o, k]:
                    cost[o, k], come[o, k] = value, step
    return _walk_back(come)


_NONE, _SKIPPED, _BEGINS, _CONTINUES, _STRAY = range(5)


def _ways(
    operators: Sequence[str],
    kernels: Sequence[str],
    cost: npt.NDArray[np.float64],
    o: int,
    k: int,
) -> list[tuple[int, float]]:
    """Return how a cell can be reached, and at what cost."""
    ways: list[tuple[int, float]] = []
    if o:
        ways.append((_SKIPPED, cost[o - 1, k] + _skip_cost(operators[o - 1])))
    if o and k:
        ways.append((_BEGINS, cost[o - 1, k - 1] + _head_cost(operators[o - 1], kernels[k - 1])))
        ways.append((_CONTINUES, cost[o, k - 1] + _follow_cost(kernels[k - 1])))
    if k:
        ways.append((_STRAY, cost[o, k - 1] + _UNMATCHED))
    return ways


def _walk_back(come: npt.NDArray[np.int8]) -> list[int | None]:
    o, k = come.shape[0] - 1, come.shape[1] - 1
    owners: list[int | None] = [None] * k
    while o or k:
        step = come[o, k]
        if step == _SKIPPED:
            o -= 1
        elif step == _BEGINS:
            o, k = o - 1, k - 1
            owners[k] = o
        else:
            k -= 1
            owners[k] = o - 1 if step == _CONTINUES else None
    return owners


def _skip_cost(operator: str) -> float:
    return _CHEAP_SKIP if operator in _ELIDED else _SKIP


def _head_cost(operator: str, kernel: str) -> float:
    text = kernel.lower()
    if operator not in HEADS:
        return _UNKNOWN
    if any(word in text for word in HEADS[operator]):
        return _FITS
    if operator in _ELEMENTWISE and ("unary" in text or "binary" in text):
        return _LOOSELY
    return float("inf")


def _follow_cost(kernel: str) -> float:
    text = kernel.lower()
    return _FOLLOWS if any(word in text for word in _FOLLOWERS) else float("inf")
