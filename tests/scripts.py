"""The scripts of docs/results/, which no package holds, as modules."""

import importlib.util
from pathlib import Path
from types import ModuleType

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"


def load_script(name: str) -> ModuleType:
    """Return ``docs/results/NAME.py``, loaded anew."""
    spec = importlib.util.spec_from_file_location(name, RESULTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
