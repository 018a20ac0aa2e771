"""The square root of pooled features, as an activation that a Keras file can name.

Most pooled features of a network with ReLUs are near zero and a few are large, so that a linear
discriminant, which takes every class for a Gaussian of one shape, hangs on the few. Their roots are
more alike: a few tenths of a point of weighted F1 for a handful of operators on one vector.
Source: Tukey 1977, Exploratory Data Analysis, chapter 3 (ladder of powers); for features of
networks: Yang et al. 2021, arXiv:2101.06395, section 3.2.
"""

from collections.abc import Callable
from functools import cache
from types import MappingProxyType
from typing import Any

from train.backend import keras, tensorflow

PACKAGE, NAME = "threadlite", "square_root"
AS_WRITTEN = MappingProxyType(
    {
        "module": "builtins",
        "class_name": "function",
        "config": f"{PACKAGE}>{NAME}",
        "registered_name": "function",
    }
)
"""How Keras writes this activation in a file."""
EPSILON = 1e-6  # keeps the slope finite at zero: at most 500


@cache
def square_root() -> Callable[[Any], Any]:
    """Return ``sqrt(max(x, 0) + EPSILON)``, registered so that Keras finds it by name."""
    tf = tensorflow()

    def function(values: Any) -> Any:
        return tf.sqrt(tf.nn.relu(values) + EPSILON)

    function.__name__ = NAME
    register = keras().saving.register_keras_serializable(package=PACKAGE, name=NAME)
    registered: Callable[[Any], Any] = register(function)
    return registered
