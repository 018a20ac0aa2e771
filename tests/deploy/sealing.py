"""Bundles that were altered by somebody who knows how to seal them again."""

import json
from pathlib import Path
from typing import Any

from deploy.bundle_manifest import BundleManifest, files_below


def seal_again(folder: Path, **changes: Any) -> None:
    """Make the manifest of an altered bundle fit its files, with some of its fields changed."""
    path = folder / "manifest.json"
    fields = {**json.loads(path.read_text()), **changes}
    manifest = BundleManifest.model_validate_json(json.dumps(fields))
    manifest = manifest.model_copy(update={"files": files_below(folder)})
    path.write_text(manifest.sealed().text())


def set_constant(path: Path, old: str, new: str) -> None:
    """Replace one text of a file that is there once."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
