"""What a page says of the model and of the computation: pairs of a word and a text."""

from __future__ import annotations

from msgspec import UNSET

from her2edge.model.file import Model
from her2edge.model.records import Verdict
from her2edge.model.slide_records import CalibrationSlides
from her2edge.results.read_back import Results
from her2edge.text import percent
from her2edge.tile import LABELS

Fact = tuple[str, str]

NOT_FOR = (
    "diagnosis, or any decision about a patient; other stains than H&E; frozen sections, cytology; other "
    "tissue than invasive breast carcinoma"
)
_NOT_APART = "; telling 0 from 1+"


def model_facts(results: Results, model: Model | None) -> list[Fact]:
    """Of the model: from its file where that is at hand, else what summary.json has."""
    stated = results.summary.model
    facts = [
        ("Model", f"{stated.name} {stated.version}, {stated.scheme}, epoch {stated.epoch}"),
        ("SHA-256", stated.sha256),
        ("Reads", f"H&E tiles of {stated.tile_px} x {stated.tile_px} px at {stated.mpp:g} µm per pixel"),
    ]
    if model is None:
        return [*facts, ("Other facts", "left out: the model file was not given")]
    manifest = model.manifest
    apart = "" if manifest.her2_low is not None else _NOT_APART
    facts += [
        ("Intended use", manifest.intended_use),
        ("Not for", NOT_FOR + apart),
        ("Classes", "; ".join(f"{one.label}: {one.name}" for one in manifest.classes) + _one_class(model)),
        ("Trained", "day not stated" if manifest.created is UNSET else f"{manifest.created}, UTC"),
        ("Trained on", f"{manifest.training.data}; split {manifest.training.protocol}"),
        ("Shown on", _shown_on(model)),
        ("Scanners", _scanners(manifest.calibration_slides)),
        ("Conversion gate", _gate(manifest.gate)),
        ("Calibration", _calibration(manifest.calibration_slides)),
        ("Novelty", _novelty(model)),
    ]
    if manifest.her2_low is not None:
        facts.append(
            ("0 and 1+ apart", f"{manifest.her2_low.definition}; shown on {manifest.her2_low.shown_on}")
        )
    return facts


def provenance(results: Results) -> list[Fact]:
    """Where the results come from; time from run.json, so that the page is the same whenever it is made."""
    slide, run = results.summary.slide, results.run
    basis = run.basis
    size = "a folder of tiles"
    if slide.width and slide.height:
        size = f"{slide.width:,} x {slide.height:,} px"
    scale = "scale not stated" if slide.mpp is None else f"{slide.mpp:.4g} µm per pixel"
    regions = results.summary.regions
    return [
        ("Slide", f"{size}, {scale}{', enlarged for the model' if slide.upsampled else ''}"),
        ("Fingerprint", slide.fingerprint),
        ("Scanner", slide.scanner or "not stated by the file"),
        ("Colour profile", _profile(slide.icc_profile)),
        ("Read", f"{run.started}; {'every tile' if basis.reading is None else basis.reading}"),
        *([] if regions is None else [("Regions", f"{regions.places} places, SHA-256 {regions.sha256}")]),
        ("Stains", str(results.summary.stain["mode"]).replace("_", " ")),
        ("Computed by", f"{basis.runtime}, {basis.architecture}; self-test: {run.self_test}"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())),
        ("Signature", _signature(results)),
        ("summary.json", run.files["summary.json"]),
        ("tiles.csv", run.files["tiles.csv"]),
    ]


def _one_class(model: Model) -> str:
    if model.manifest.her2_low is None and LABELS[0] in model.manifest.labels:
        return ". 0 and 1+ are one class: the model does not tell them apart"
    return ""


def _shown_on(model: Model) -> str:
    metrics = model.manifest.metrics
    if "test.accuracy" not in metrics:
        return "no test part is stated in the model file"
    counts = ", ".join(
        f"{metrics[f'test.{name}']:,.0f} {name}"
        for name in ("tiles", "slides", "patients")
        if f"test.{name}" in metrics
    )
    said = (
        f"{percent(metrics['test.accuracy'], 1)} of tiles right, float network, test part ({counts}), split "
        f"{model.manifest.training.protocol}"
    )
    return f"{said}. All of it synthetic: patients: none" if model.manifest.demo else said


def _scanners(slides: CalibrationSlides | None) -> str:
    return (
        "none validated"
        if slides is None or not slides.scanners
        else "calibrated on: " + ", ".join(slides.scanners)
    )


def _gate(gate: Verdict | None) -> str:
    if gate is None:
        return "none: the file is older than the gate"
    verdict = f"overridden: {'; '.join(gate.reasons)}" if gate.accepted_loss else "passed"
    return (
        f"{verdict}; on {gate.tiles:,} held-out tiles of {gate.patients:,} patients {gate.flips:,} had "
        f"another class than the float network's (at most {percent(gate.flip_interval[1], 2)})"
    )


def _calibration(slides: CalibrationSlides | None) -> str:
    if slides is None:
        return "none: no error rate can be stated"
    by_label = ", ".join(f"{label} {count}" for label, count in slides.patients.items())
    sites = f"; sites: {', '.join(slides.sites)}" if slides.sites else ""
    return f"{percent(slides.level)} sets, on patients with a known score: {by_label}{sites}"


def _novelty(model: Model) -> str:
    record = model.manifest.novelty
    if record is None:
        return "the model cannot tell whether tissue is like its training tissue"
    return (
        f"fitted on {record.tiles:,} tiles of {record.slides:,} slides; {percent(record.false_alarms, 1)} of "
        "slides are called far from training that are not"
    )


def _profile(profile: str | bool | None) -> str:
    if not profile:
        return "none" if profile is False else "not asked"
    return f"{'one without a name' if profile is True else profile}, noted and not applied"


def _signature(results: Results) -> str:
    signer = results.run.signer
    if signer is None:
        return "the model is not signed"
    trusted = "trusted where it was read" if signer.verified else "no key was trusted where it was read"
    return f"key {signer.key}, {trusted}"
