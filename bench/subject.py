"""What a record says of the variant that it measures, and what it never says: where files lie."""

import re
from typing import Any

from train.artifact import Manifest


def subject_of(manifest: Manifest, environment: str) -> dict[str, Any]:
    """Return the fields that every record of one variant shares.

    Args:
        manifest: the variant's.
        environment: name of the environment record.
    """
    made = manifest.steps[1:]
    return {
        "variant": manifest.variant,
        "variant_sha256": manifest.payload_sha256,
        "network_sha256": (made[0].parent_sha256 if made else None) or manifest.payload_sha256,
        "split_method": manifest.split.method,
        "environment": environment,
    }


def without_paths(reason: str) -> str:
    """Return ``reason`` naming files alone: a record holds no path of a machine."""
    return re.sub(r"(?<![\w.])/(?:[^\s/:'\"]+/)+", "", reason)
