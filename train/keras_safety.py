"""Which classes a Keras file may name: those that our networks are made of, and no others.

Keras builds whatever class or function a file's configuration names, imported from any module; a
``TFOpLambda`` calls any function of TensorFlow while the file is opened, such as one that writes
files. So only what is listed here is let through, by class, module and registered name alike.
"""

from collections.abc import Iterator
from typing import Any

from train.errors import ArtifactError
from train.networks.square_root import AS_WRITTEN as SQUARE_ROOT

HUB_CLASS = "KerasLayer"
_NETWORK = ("tf_keras.src.engine.functional", "Functional", "Functional")
_HUB = ("tensorflow_hub.keras_layer", HUB_CLASS, HUB_CLASS)
_LAYERS = (
    *("Activation", "Add", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv2D"),
    *("Dense", "DepthwiseConv2D", "GlobalAveragePooling2D", "InputLayer", "LayerNormalization"),
    *("MaxPooling2D", "ReLU", "Rescaling", "ZeroPadding2D"),
)
# The first three are given to layers of ours, the others are what a layer takes by itself.
_INITIALIZERS = ("Constant", "TruncatedNormal", "VarianceScaling", "GlorotUniform", "Ones", "Zeros")
ALLOWED_CLASSES: frozenset[tuple[str, str, str | None]] = frozenset(
    {
        _NETWORK,
        _HUB,
        *(("keras.layers", name, None) for name in _LAYERS),
        *(("keras.initializers", name, None) for name in _INITIALIZERS),
    }
)
"""Module, class and registered name, as Keras writes them."""

ALLOWED_ACTIVATIONS = frozenset({"gelu", "linear", "relu", "softmax"})
_HUB_SETTINGS = frozenset({"name", "trainable", "dtype", "handle"})
_NONE_ONLY = ("_regularizer", "_constraint")


def require_known_classes(config: Any, place: object) -> None:
    """Refuse a network whose configuration names a class or function that is not known here.

    Args:
        config: of the whole network, with its class, as Keras serializes it.
        place: the file, for the message.

    Raises:
        ArtifactError: names the layer and what it is.
    """
    if not isinstance(config, dict) or _identity(config) != _NETWORK:
        found = config.get("class_name") if isinstance(config, dict) else config
        raise ArtifactError(
            f"{place}: it holds {_short(found)}, must be a functional network; build it with"
            " keras.Model(inputs, outputs) and save it again"
        )
    for layer, value in _named_parts(config):
        complaint = _complaint(value)
        if complaint:
            raise ArtifactError(
                f"{place}: layer {_short(layer)} {complaint}; build the network from the"
                f" layers {', '.join(_LAYERS)} and save it again"
            )


def parts_of(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every object inside a configuration, at any depth, itself included."""
    return (value for _, value in _named_parts(config))


def _named_parts(config: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield every object with the name of the layer that it belongs to; deep ones too.

    Without recursion: a file may nest deeper than Python's stack.
    """
    waiting: list[tuple[Any, Any]] = [("", config)]
    while waiting:
        layer, value = waiting.pop()
        if isinstance(value, list | tuple):
            waiting += [(layer, item) for item in reversed(value)]
        elif isinstance(value, dict):
            layer = _layer_name(value, layer)
            yield layer, value
            waiting += [(layer, item) for item in reversed(value.values())]


def _layer_name(value: dict[str, Any], outer: Any) -> Any:
    if "class_name" not in value:
        return outer
    config = value.get("config")
    inner = config.get("name") if isinstance(config, dict) else None
    return inner or value.get("name") or outer


def _complaint(value: dict[str, Any]) -> str:
    """Return what is wrong with one object of a configuration; nothing where it is known."""
    for key, item in value.items():
        if key == "activation" and not _is_known_activation(item):
            return f"has the activation {_short(item)}, which is not known here"
        if key.endswith("_initializer") and not isinstance(item, dict):
            return f"has the initializer {_short(item)}, which is not written as Keras does"
        if key.endswith(_NONE_ONLY) and item is not None:
            return f"has a {key}, which opening must not build"
    if "class_name" not in value and "registered_name" not in value:
        return ""
    if value == SQUARE_ROOT:
        return ""
    if value.get("class_name") == "Lambda":
        return "is a Lambda, which holds code that opening would run"
    if _identity(value) not in ALLOWED_CLASSES:
        return f"is a {_kind(value)}, which is not known here and could run code on opening"
    config = value.get("config")
    if not isinstance(config, dict):
        return f"is a {_kind(value)} without settings"
    if _identity(value) == _HUB and not (
        config.keys() <= _HUB_SETTINGS and isinstance(config.get("handle"), str)
    ):
        return f"is a {HUB_CLASS} with other settings than {', '.join(sorted(_HUB_SETTINGS))}"
    return ""


def _is_known_activation(item: Any) -> bool:
    named = isinstance(item, str) and item in ALLOWED_ACTIVATIONS
    return named or item == SQUARE_ROOT


def _identity(value: dict[str, Any]) -> tuple[str, str, str | None] | None:
    """Return module, class and registered name; ``None`` where they cannot be names."""
    module, name = value.get("module"), value.get("class_name")
    registered = value.get("registered_name", "")  # left out, Keras takes the class's name for it
    if isinstance(module, str) and isinstance(name, str) and isinstance(registered, str | None):
        return module, name, registered
    return None


def _kind(value: dict[str, Any]) -> str:
    config = value.get("config")
    function = config.get("function") if isinstance(config, dict) else None
    called = f" that calls {_short(function)}" if isinstance(function, str) else ""
    module = value.get("module")
    where = f" of {_short(module)}" if module != "keras.layers" else ""
    name = value.get("class_name")
    known = _short(name) if isinstance(name, str) else "nameless class"
    return f"{known}{where}{called}".replace("'", "")


def _short(value: Any) -> str:
    """Return a foreign value for a message, not at full length."""
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__}"
    return repr(value)[:80]
