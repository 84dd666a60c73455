"""Manifests of schema 1: three labels without names, nothing of the slide answer. Read, never made."""

from __future__ import annotations

from typing import Literal

from her2edge.model.records import Common


class ManifestV1(Common, frozen=True, kw_only=True, omit_defaults=True):
    """manifest.json as it was until November 2026; `her2edge.model.manifest` makes a Manifest of it."""

    schema_version: Literal[1]
    labels: tuple[Literal["0/1+"], Literal["2+"], Literal["3+"]]
