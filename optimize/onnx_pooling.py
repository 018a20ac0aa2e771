"""Global average pooling written as the one operator that integer kernels know.

The converter writes it as a mean over two axes, behind a transpose of the whole last map. ONNX
Runtime has no integer kernel for a mean: in a QDQ graph both run in float. It has one for
``GlobalAveragePool``, which reads the map as it lies.
"""

from typing import Any

from optimize.onnx_view import OnnxView, Pattern, replace_patterns, settings_of

_ROWS_AND_COLUMNS = {(): [2, 3], (0, 2, 3, 1): [1, 2]}  # by how a map is transposed before


def pool_whole_maps(proto: Any) -> tuple[str, ...]:
    """Write each mean over all rows and columns as ``GlobalAveragePool``, in place.

    Exact but for rounding. The operator keeps the mean's name, and so does what it gives.

    Args:
        proto: an ``onnx.ModelProto`` of static shapes.

    Returns:
        Name of the output of each.
    """
    return replace_patterns(proto, "ReduceMean", _pooling)


def _pooling(view: OnnxView, mean: Any) -> Pattern | None:
    from onnx import helper

    axes = view.constants.get(mean.input[1]) if len(mean.input) > 1 else None
    turned = view.maker(mean.input[0], "Transpose")
    nodes = (mean,) if turned is None else (turned, mean)
    order = () if turned is None else tuple(settings_of(turned).get("perm", (3, 2, 1, 0)))
    if axes is None or settings_of(mean).get("keepdims", 1):
        return None
    if len(view.shape(mean.input[0])) != 4:
        return None
    if _ROWS_AND_COLUMNS.get(order) != sorted(axes.tolist()):
        return None
    maps = nodes[0].input[0]
    pooled = f"{mean.output[0]}/pooled"
    written = (
        helper.make_node("GlobalAveragePool", [maps], [pooled], name=mean.name),
        helper.make_node("Flatten", [pooled], [mean.output[0]], name=f"{mean.name}/flat", axis=1),
    )
    return Pattern(nodes, written)
