"""``threadlite doctor``: what this machine and installation can do."""

import importlib
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.environment import describe_environment
from train.errors import ThreadliteError
from train.storage import cache_folder, write_text

_MODULES = ("tensorflow", "tf_keras", "tf2onnx", "onnx", "onnxruntime", "ai_edge_litert")


def examine() -> int:
    """Print what was found; return 0 when everything that is needed is there, else 1."""
    environment = describe_environment()
    faults = [*_module_faults(), *_cache_faults()]
    table = Table("what", "found", title="threadlite doctor")
    table.add_row("processor", f"{environment.cpu}, {environment.cores} cores in use")
    table.add_row("instructions", ", ".join(environment.cpu_features) or "none that matter")
    table.add_row("memory", f"{environment.memory_bytes / 2**30:.1f} GiB")
    table.add_row("system", f"{environment.system}, Python {environment.python}")
    awake = "kept awake while timing" if environment.kept_awake else "asleep as the system likes"
    table.add_row("cores", awake)
    for name, number in sorted(environment.packages.items()):
        table.add_row(name, number)
    table.add_row("cache", str(cache_folder()))
    table.add_row("", _sizes(cache_folder()))
    console = Console()
    console.print(table)
    for fault in faults:
        sys.stderr.write(f"threadlite: {fault}\n")
    sys.stdout.write("not ready\n" if faults else "ready\n")
    return 1 if faults else 0


def _sizes(cache: Path) -> str:
    """Return what each part of the cache holds; all of it is made again where it is missing."""
    if not cache.is_dir():
        return "empty"
    parts = {
        part.name: sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
        for part in sorted(cache.iterdir())
        if part.is_dir()
    }
    named = ", ".join(f"{name} {size / 1e9:.1f} GB" for name, size in parts.items())
    return f"{named}; any may be removed" if named else "empty"


def _module_faults() -> list[str]:
    from train.backend import tensorflow

    faults = []
    for name in _MODULES:
        try:
            tensorflow() if name == "tensorflow" else importlib.import_module(name)
        except ImportError as error:
            faults.append(
                f"{name} cannot be loaded ({error}); run: pip install -r requirements.lock"
            )
    return faults


def _cache_faults() -> list[str]:
    try:
        write_text(cache_folder() / "doctor.txt", "written by threadlite doctor\n")
    except ThreadliteError as error:
        return [f"{error}; set THREADLITE_CACHE to a folder that can be written"]
    return []
