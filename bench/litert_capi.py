"""LiteRT's C library, as its Python package carries it: the few calls that profiling needs.

The package's Python interface offers no times of single operators; its C library does. What is
declared here follows ``litert/c`` of https://github.com/google-ai-edge/LiteRT. Layouts differ
between versions, and a wrong one crashes the process: so another version is refused, and all of
this runs in a child process alone.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from train.errors import RuntimeFailure

KNOWN_VERSIONS = ("2.3",)  # of ai-edge-litert, whose layouts are the ones below
DEFAULT_EVENT, OPERATOR_EVENT, DELEGATE_EVENT = 1, 2, 8
_LIBRARIES = ("libLiteRt.so", "libLiteRt.dylib", "libLiteRt.dll")
_CPU = 1
_LOCK_TO_READ, _LOCK_TO_WRITE = 0, 1
_DIMENSIONS = 8


class OtherInterface(RuntimeFailure):
    """The installed library is not one whose layouts are known here."""


class _Layout(ctypes.Structure):
    # bits: rank in the lowest seven, whether there are strides in the eighth.
    _fields_ = (
        ("bits", ctypes.c_uint32),
        ("dimensions", ctypes.c_int32 * _DIMENSIONS),
        ("strides", ctypes.c_uint32 * _DIMENSIONS),
    )


class _TensorType(ctypes.Structure):
    _fields_ = (("element_type", ctypes.c_int32), ("layout", _Layout))


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_size_t),
        ("in_use", ctypes.c_size_t),
        ("private", ctypes.c_size_t),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("event_type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory_begin", _Memory),
        ("memory_end", _Memory),
        ("metadata1", ctypes.c_uint64),
        ("metadata2", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


@dataclass(frozen=True, kw_only=True)
class Event:
    """One entry of LiteRT's profile.

    Attributes:
        tag: ``Invoke`` for a whole call, else the operator or kernel.
        event_type: ``DEFAULT_EVENT``, ``OPERATOR_EVENT`` (run by the interpreter itself),
            ``DELEGATE_EVENT`` (inside a delegate), or one that is no time.
        elapsed_us: whole microseconds, rounded down.
        index: of the operator, in the graph or in its delegate.
    """

    tag: str
    event_type: int
    elapsed_us: int
    index: int


class ProfiledModel:
    """A ``.tflite`` on LiteRT's compiled-model interface, with its profiler.

    What it makes lives as long as its process, which is a child made for it.
    """

    def __init__(self, model: Path, *, threads: int) -> None:
        """Load ``model``; it must have static shapes, one input and one output.

        Raises:
            OtherInterface: the library has another interface.
            RuntimeFailure: it refuses the model.
        """
        self._subject = str(model)
        self._library = _open_library()
        self._kept: list[Any] = []  # C memory that the library goes on reading
        self._environment, handle = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("LiteRtCreateEnvironment", 0, None, ctypes.byref(self._environment))
        path = str(model).encode()
        self._call("LiteRtCreateModelFromFile", self._environment, path, ctypes.byref(handle))
        options = self._options(threads)
        self._compiled, signature = ctypes.c_void_p(), ctypes.c_void_p()
        self._call(
            "LiteRtCreateCompiledModel",
            *(self._environment, handle, options, ctypes.byref(self._compiled)),
        )
        first = ctypes.c_size_t(0)
        self._call("LiteRtGetModelSignature", handle, first, ctypes.byref(signature))
        self._inputs = (ctypes.c_void_p * 1)(self._buffer("Input", signature).value)
        self._outputs = (ctypes.c_void_p * 1)(self._buffer("Output", signature).value)
        self._profiler = ctypes.c_void_p()
        self._call("LiteRtCompiledModelGetProfiler", self._compiled, ctypes.byref(self._profiler))

    def feed(self, content: bytes) -> None:
        """Copy ``content`` into the input.

        Raises:
            RuntimeFailure: it is not as long as the input.
        """
        size = self._size(self._inputs[0])
        if size < len(content):
            raise RuntimeFailure(
                f"{self._subject}: its input holds {size} bytes, got {len(content)}"
            )
        place = self._lock(self._inputs[0], _LOCK_TO_WRITE)
        ctypes.memmove(place, content, len(content))
        self._call("LiteRtUnlockTensorBuffer", ctypes.c_void_p(self._inputs[0]))

    def output(self) -> bytes:
        """Return the bytes of the output."""
        size = self._size(self._outputs[0])
        place = self._lock(self._outputs[0], _LOCK_TO_READ)
        content = ctypes.string_at(place, size)
        self._call("LiteRtUnlockTensorBuffer", ctypes.c_void_p(self._outputs[0]))
        return content

    def run(self) -> None:
        """Run the model once."""
        first, one = ctypes.c_size_t(0), ctypes.c_size_t(1)
        self._call(
            "LiteRtRunCompiledModel",
            *(self._compiled, first, one, self._inputs, one, self._outputs),
        )

    def profile(self, calls: int) -> list[Event]:
        """Run the model ``calls`` times and return the events of those calls alone."""
        self._call("LiteRtResetProfiler", self._profiler)
        self._call("LiteRtStartProfiler", self._profiler)
        for _ in range(calls):
            self.run()
        self._call("LiteRtStopProfiler", self._profiler)
        return list(self._events())

    def _events(self) -> Iterator[Event]:
        count = ctypes.c_int()
        self._call("LiteRtGetNumProfilerEvents", self._profiler, ctypes.byref(count))
        events = (_Event * max(count.value, 1))()
        self._call("LiteRtGetProfilerEvents", self._profiler, count, events)
        for event in events[: count.value]:
            yield Event(
                tag=event.tag.decode(errors="replace"),
                event_type=event.event_type,
                elapsed_us=event.elapsed_us,
                index=event.metadata1,
            )

    def _options(self, threads: int) -> ctypes.c_void_p:
        """Return compilation options: the CPU, profiling, a number of XNNPACK threads."""
        options = ctypes.c_void_p()
        self._call("LiteRtCreateOptions", ctypes.byref(options))
        self._call("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
        nothing_to_free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda pointer: None)
        self._kept.append(nothing_to_free)
        for identifier, text in (
            (b"runtime_options_string", b"enable_profiling = true\n"),
            (b"xnnpack", b"num_threads = %d\n" % threads),
        ):
            payload, opaque = ctypes.create_string_buffer(text), ctypes.c_void_p()
            self._kept += [identifier, payload]
            self._call(
                "LiteRtCreateOpaqueOptions",
                *(identifier, payload, nothing_to_free, ctypes.byref(opaque)),
            )
            self._call("LiteRtAddOpaqueOptions", options, opaque)
        return options

    def _buffer(self, side: str, signature: ctypes.c_void_p) -> ctypes.c_void_p:
        """Return a buffer for the first tensor of one side."""
        first, kind = ctypes.c_size_t(0), _TensorType()
        tensor, needs, made = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        self._call(f"LiteRtGetSignature{side}TensorByIndex", signature, first, ctypes.byref(tensor))
        self._call("LiteRtGetRankedTensorType", tensor, ctypes.byref(kind))
        self._call(
            f"LiteRtGetCompiledModel{side}BufferRequirements",
            *(self._compiled, first, first, ctypes.byref(needs)),
        )
        self._call(
            "LiteRtCreateManagedTensorBufferFromRequirements",
            *(self._environment, ctypes.byref(kind), needs, ctypes.byref(made)),
        )
        return made

    def _size(self, buffer: int | None) -> int:
        size = ctypes.c_size_t()
        self._call("LiteRtGetTensorBufferPackedSize", ctypes.c_void_p(buffer), ctypes.byref(size))
        return size.value

    def _lock(self, buffer: int | None, purpose: int) -> ctypes.c_void_p:
        place = ctypes.c_void_p()
        self._call("LiteRtLockTensorBuffer", ctypes.c_void_p(buffer), ctypes.byref(place), purpose)
        return place

    def _call(self, name: str, *arguments: Any) -> None:
        """Call a function of the library, all of which return a status."""
        try:
            function = getattr(self._library, name)
        except AttributeError as error:
            raise OtherInterface(_other_interface(f"has no {name}")) from error
        status = function(*arguments)
        if status:
            raise RuntimeFailure(f"{self._subject}: {name} gives status {status}")


def _open_library() -> Any:
    """Return the library of the installed package.

    Raises:
        OtherInterface: the package is of another version, or carries no library.
    """
    import ai_edge_litert

    if ".".join(version("ai-edge-litert").split(".")[:2]) not in KNOWN_VERSIONS:
        raise OtherInterface(_other_interface("has another interface, or one not checked yet"))
    folder = Path(ai_edge_litert.__path__[0])
    found = next((folder / name for name in _LIBRARIES if (folder / name).is_file()), None)
    if found is None:
        raise OtherInterface(_other_interface(f"carries none of {', '.join(_LIBRARIES)}"))
    return ctypes.CDLL(str(found))


def _other_interface(reason: str) -> str:
    return (
        f"ai-edge-litert {version('ai-edge-litert')}: its C library {reason}; times of operators"
        f" inside whole calls need version {' or '.join(KNOWN_VERSIONS)}"
    )
