"""The files of a registration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from her2edge.files import ensure_folder, forget, write_bytes, write_json
from her2edge.results.folder import safe_stem
from her2edge.results.slide_info import SlideInfo
from her2edge.slide import encode_png
from her2edge.text import from_disk, to_disk
from her2edge.tile import RESEARCH_USE
from her2edge_training.register.errors import RegistrationError
from her2edge_training.register.overlay import draw_overlay, draw_refused
from her2edge_training.register.slides import Registration, SlidePair

REFUSED = "overlay-refused.png"
RESIDUAL = (
    "median over blocks of the H&E slide that were kept from the fit: "
    "how far from its place each correlates best in haematoxylin"
)


def write_registration(out: Path, pair: SlidePair, registration: Registration) -> list[Path]:
    """Write registration.json and overlay.png into a folder, which is made; raises OutputError."""
    ensure_folder(out)
    forget(out, REFUSED)
    paths = [out / "registration.json", out / "overlay.png"]
    write_json(paths[0], _record(registration))
    write_bytes(paths[1], encode_png(draw_overlay(pair, registration)))
    return paths


def write_refused(out: Path, pair: SlidePair, error: RegistrationError) -> Path:
    """Write overlay-refused.png, so that one sees why; what a former run left stays. Raises OutputError."""
    ensure_folder(out)
    write_bytes(out / REFUSED, encode_png(draw_refused(pair, error)))
    return out / REFUSED


def carried_path(out: Path, annotations: Path) -> Path:
    """Where the carried shapes of a file go, unpacked."""
    name = from_disk(annotations.name).removesuffix(".gz").removesuffix(".zip")
    return out / to_disk(f"{safe_stem(name)}.geojson")


def write_shapes(path: Path, shapes: Any) -> None:
    """Write carried GeoJSON; raises OutputError."""
    write_bytes(path, msgspec.json.encode(shapes) + b"\n")


def _record(registration: Registration) -> dict[str, Any]:
    alignment = registration.alignment
    return {
        "notice": RESEARCH_USE,
        "frame": "level-0 pixels of each slide, origin top left; matrices apply to (x, y, 1)",
        "angle_degrees": alignment.transform.angle,
        "shift_um": alignment.transform.shift,
        "ihc_to_he": registration.ihc_to_he.tolist(),
        "he_to_ihc": registration.he_to_ihc.tolist(),
        "residual": {
            "median_um": alignment.residual.median,
            "limit_um": alignment.residual.limit,
            "blocks": alignment.residual.blocks,
            "is": RESIDUAL,
        },
        "correlation": alignment.score,
        "compared_at_um_per_pixel": registration.mpp,
        "he": _slide(registration.he),
        "ihc": _slide(registration.ihc),
    }


def _slide(info: SlideInfo) -> dict[str, Any]:
    keys = ("name", "fingerprint", "um_per_pixel", "width", "height")
    record = msgspec.to_builtins(info)
    return {key: record[key] for key in keys}
