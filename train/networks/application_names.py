"""From the names of Keras Applications' weights to those of the layers here.

Weights keyed ``layer/variable`` are renamed layer by layer. What has no layer here, and what
bears our names already, keeps its name: what is left over can then be told, and weights may be
given under either names.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Reshape: TypeAlias = Callable[[str, str, Array], tuple[str, Array]]


def translated(
    entries: Mapping[str, Array],
    names: Mapping[str, str],
    reshape: Reshape | None = None,
) -> dict[str, Array]:
    """Return ``entries`` under the names that their layers have here.

    A depthwise kernel is called ``depthwise_kernel`` here; newer files say ``kernel``.

    Args:
        entries: ``layer/variable`` to array, in the names of Keras Applications.
        names: layer there to layer here.
        reshape: from (layer here, variable there, array) to variable and array here; ``None``
            where the arrays are the same.
    """
    found: dict[str, Array] = {}
    for key, array in entries.items():
        layer, _, variable = key.rpartition("/")
        if layer not in names:
            found[key] = array
            continue
        ours = names[layer]
        if ours.endswith("_depthwise") and variable == "kernel":
            variable = "depthwise_kernel"
        if reshape is not None:
            variable, array = reshape(ours, variable, np.asarray(array))
        found[f"{ours}/{variable}"] = array
    return found
