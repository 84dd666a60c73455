"""MODEL_CARD.md, with Hugging Face front matter. Every number comes from the run's own files."""

from __future__ import annotations

from her2edge.tile import LABELS, RESEARCH_USE
from her2edge_quantize.agreement import Agreement
from her2edge_quantize.export import Scheme
from her2edge_quantize.run_folder import Run, Score

_DEMO = (
    "This is a demonstration model. It knows synthetic tissue only; it knows nothing of patients. Its scores "
    "say that the pipeline works, no more."
)
_PACKED = (
    "Export fast: the network's own input is the tile as the SDK packs it (`input.packing` in the manifest); "
    "it answers as the portable export does, bit for bit."
)
_PROTOCOLS = {
    "slide-grouped": "no patient and no slide stands in two parts of the split",
    "tile-random": "tiles of one slide stand on both sides of the split, which inflates the scores",
}


def model_card(
    name: str,
    version: str,
    scheme: Scheme,
    run: Run,
    *,
    demo: bool,
    calibrated_on: int,
    agreement: Agreement | None,
    packed: bool = False,
) -> str:
    """The card's text. calibrated_on: number of calibration tiles; agreement: with fp32, where compared.

    packed: whether the network's input is packed by the SDK.
    """
    metrics = run.metrics
    tags = ["her2edge", "histopathology", "her2", "h-and-e", "tflite", scheme, *(["demo"] if demo else [])]
    parts = [
        "---\nlicense: apache-2.0\nlibrary_name: her2edge\npipeline_tag: image-classification\ntags:\n"
        + "".join(f"  - {tag}\n" for tag in tags)
        + "---",
        f"# {name} {version}",
        f"**{RESEARCH_USE}**" + (f" {_DEMO}" if demo else ""),
        _use(run),
        "## Training",
        _training(run),
        "## Scores",
        f"Of the float network, by tile. Split {metrics.protocol}: {_PROTOCOLS[metrics.protocol]}.",
        *(
            _score(part, score)
            for part, score in (("validation", metrics.validation), ("test", metrics.test))
        ),
        "## Conversion",
        _conversion(scheme, calibrated_on, agreement) + (f" {_PACKED}" if packed else ""),
    ]
    return "\n\n".join(parts) + "\n"


def _use(run: Run) -> str:
    recipe = run.recipe
    return (
        f"Reads one tile of an H&E-stained slide and gives three logits: {', '.join(LABELS)}. The scores 0 "
        "and 1+ are one class, 0/1+: the model does not tell them apart.\n\n"
        f"Input: {recipe.tile_px} x {recipe.tile_px} px uint8 RGB, {recipe.um_per_pixel:g} um per pixel; "
        f"stain normalisation {recipe.stain.mode} (profile {recipe.stain.profile}). Tiles of at least "
        f"{100 * recipe.max_background_share:g} % background were left out of training and scores."
    )


def _training(run: Run) -> str:
    counts = {
        part: sum(own == part for _label, own in run.parts.values()) for part in ("train", "validation")
    }
    environment, recipe = run.environment, run.recipe
    keras = environment.packages.get("keras") or "unknown"
    return (
        f"Recipe `{recipe.name}` ({recipe.architecture}, seed {recipe.seed}, start: {start_weights(run)}), "
        f"{run.metrics.epochs} epochs in {run.seconds:.0f} seconds on {environment.system} (Keras {keras}, "
        f"{environment.backend}). {counts['train']} training tiles, {counts['validation']} for validation; "
        f"manifest SHA-256 `{environment.manifest_sha256}`."
    )


def start_weights(run: Run) -> str:
    """Where training began, without a path: "random", "imagenet", a former run or the file's hash."""
    former = run.environment.started_from
    if former is not None:
        return (
            f"best weights of a run of {former.recipe} ({former.seconds:.0f} seconds of training, SHA-256 "
            f"{former.weights_sha256})"
        )
    if run.recipe.weights is None:
        return "random"
    digest = run.environment.weights_sha256
    return f"file with SHA-256 {digest}" if digest else str(run.recipe.weights).rsplit("/", 1)[-1]


def _score(part: str, score: Score) -> str:
    of = f"{score.tiles} tiles of {score.slides} slides ({score.patients} patients)"
    lines = [
        f"{part.capitalize()}: {100 * score.accuracy:.2f} % of {of} are right.",
        "",
        "| class | tiles | found | " + " | ".join(f"called {label}" for label in LABELS) + " |",
        "|---" * (3 + len(LABELS)) + "|",
    ]
    for label, n, recall, row in zip(LABELS, score.per_class, score.recall, score.confusion, strict=True):
        lines.append(f"| {label} | {n} | {100 * recall:.1f} % | " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


def _conversion(scheme: Scheme, calibrated_on: int, agreement: Agreement | None) -> str:
    text = f"Scheme {scheme}."
    if scheme == "int8":
        text += f" Ranges from {calibrated_on} tiles of the training part, none of another."
    if agreement is not None:
        text += f" Against the fp32 conversion on held-out tiles: {agreement}."
    return text
