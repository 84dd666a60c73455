"""UIDs that are made from what they name, so that a second run replaces the first."""

from __future__ import annotations

import uuid

from her2edge.results.geojson import NAMESPACE


def derived_uid(*parts: str) -> str:
    """`2.25.` and the UUIDv5 of the parts as a number (PS3.5, B.2)."""
    return f"2.25.{uuid.uuid5(NAMESPACE, '/'.join(('dicom', *parts))).int}"
