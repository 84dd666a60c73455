"""MODEL_CARD.md, with Hugging Face front matter. Every number comes from the run's own files."""

from __future__ import annotations

from pathlib import Path

from msgspec import UNSET

from her2edge.model.records import Verdict
from her2edge.tables import markdown
from her2edge.text import percent
from her2edge.tile import LABELS, RESEARCH_USE
from her2edge_quantize.model_file.card_limits import limits_text
from her2edge_quantize.model_file.description import Description
from her2edge_training.cohort.label_from import label_words
from her2edge_training.network.weight_files import IMAGENET
from her2edge_training.run.records import Score
from her2edge_training.run.trained import TrainedRun

_DEMO = (
    "This is a demonstration model. It knows synthetic tissue only; it knows nothing of patients. Its "
    "scores show that the pipeline works, nothing more."
)
_PACKED = (
    "Export fast: the network's own input is the tile as the SDK packs it (`input.packing` in the manifest); "
    "it answers as the portable export does, bit for bit."
)
_PROTOCOLS = {
    "slide-grouped": "no patient and no slide is in two parts of the split",
    "tile-random": "tiles of one slide are on both sides of the split, which inflates the scores",
    "site-held-out": "the test part is one site, which training has not seen",
}


def model_card(about: Description, run: TrainedRun) -> str:
    """The card's text; `about.gate` is None before the model has been judged."""
    metrics = run.metrics
    tags = ["her2edge", "histopathology", "her2", "h-and-e", "tflite", about.scheme]
    parts = [
        "---\nlicense: apache-2.0\nlibrary_name: her2edge\npipeline_tag: image-classification\ntags:\n"
        + "".join(f"  - {tag}\n" for tag in [*tags, *(["demo"] if about.demo else [])])
        + _index(about, run)
        + "---",
        f"# {about.name} {about.version}",
        f"**{RESEARCH_USE}**" + (f" {_DEMO}" if about.demo else ""),
        _use(about, run),
        "## Training",
        training_text(run) + _taught(about),
        "## Scores",
        f"Of the float network, by tile. Split {metrics.protocol}: {_PROTOCOLS[metrics.protocol]}."
        + _not_accuracy(about),
        *(
            _score(part, score, metrics.labels)
            for part, score in (("validation", metrics.validation), ("test", metrics.test))
        ),
        "## Limits",
        limits_text(about),
        "## Conversion",
        _conversion(about) + (f" {_PACKED}" if about.packing is not UNSET else ""),
        *_beside_teacher(about),
    ]
    return "\n\n".join(parts) + "\n"


def _index(about: Description, run: TrainedRun) -> str:
    """The scores as a Hugging Face model card holds them, so that they are found by machines."""
    data = "synthetic tissue" if about.demo else "tiles of the run's own cohort"
    return (
        f'model-index:\n  - name: "{about.name}"\n    results:\n'
        "      - task:\n          type: image-classification\n"
        f'        dataset:\n          name: "{data}, {run.metrics.protocol}, test part"\n'
        f'          type: "manifest-{run.environment.tile_list_sha256[:16]}"\n'
        '        metrics:\n          - type: accuracy\n            name: "accuracy by tile, float network"\n'
        f"            value: {run.metrics.test.accuracy:.4f}\n"
    )


def _use(about: Description, run: TrainedRun) -> str:
    recipe = run.recipe
    names = ", ".join(
        one.label if one.name == one.label else f"{one.label} ({one.name})" for one in about.classes
    )
    return (
        f"Reads one tile of an H&E-stained slide and gives {len(about.classes)} logits: {names}."
        f"{_low(about)}\n\n"
        f"Input: {recipe.tile_px} x {recipe.tile_px} px uint8 RGB, {recipe.mpp:g} um per pixel; "
        f"stain normalisation {recipe.stain.mode} (profile {recipe.stain.profile}). Tiles of at least "
        f"{percent(recipe.max_background_share, None)} background were left out of training and scores."
    )


def _low(about: Description) -> str:
    """What the labels say of 0 and 1+."""
    if about.her2_low is not None:
        return f" 0 and 1+ are told apart: {about.her2_low.definition}; shown on {about.her2_low.shown_on}."
    if LABELS[0] in {one.label for one in about.classes}:
        return " The scores 0 and 1+ are one class, 0/1+: the model does not tell them apart."
    return ""


def training_text(run: TrainedRun) -> str:
    """What made the network, of what."""
    counts = {part: sum(row.part == part for row in run.split) for part in ("train", "validation")}
    environment, recipe = run.environment, run.recipe
    keras = environment.packages.get("keras") or "unknown"
    return (
        f"Recipe `{recipe.name}` ({recipe.architecture}, seed {recipe.seed}, start: {start_weights(run)}), "
        f"{run.metrics.epochs} epochs in {run.seconds:.0f} seconds on {environment.system} (Keras {keras}, "
        f"{environment.backend}). {counts['train']} training tiles, {counts['validation']} for validation; "
        f"manifest SHA-256 `{environment.tile_list_sha256}`; {label_words(environment.label_from)}."
    )


def start_weights(run: TrainedRun) -> str:
    """Where training began, without a path: "random", "imagenet", a run, a model file or the file's hash."""
    former = run.environment.started_from
    if former is not None and former.model_file is not UNSET:
        file = former.model_file
        unknown = "" if former.states_patients else "; it does not say, or not in full, whom it learnt from"
        return (
            f"weights of the model file {file.name} {file.version} ({file.scheme}, recipe {former.recipe}, "
            f"SHA-256 {former.weights_sha256}), read back{unknown}"
        )
    if former is not None:
        return (
            f"best weights of a run of {former.recipe} ({former.seconds:.0f} seconds of training, SHA-256 "
            f"{former.weights_sha256})"
        )
    if run.recipe.weights is None:
        return "random"
    digest, published = run.environment.weights_sha256, run.recipe.weights == IMAGENET
    name = IMAGENET if published else Path(run.recipe.weights).name
    return f"{'imagenet, ' * published}file with SHA-256 {digest}" if digest else name


def _taught(about: Description) -> str:
    taught = about.distilled_from
    if taught is None:
        return ""
    return (
        f" Distilled from {taught.teacher} (SHA-256 `{taught.teacher_sha256}`) at temperature "
        f"{taught.temperature:g}: it learnt what the teacher says of {taught.tiles} tiles, of the transfer "
        f"set of "
        f"{taught.transfer_set}, {taught.unlabelled} of them without a label. It knows no other tissue, and "
        "its teacher's errors are its own."
    )


def _not_accuracy(about: Description) -> str:
    taught = about.distilled_from
    if taught is None or not taught.unlabelled:
        return ""
    return (
        f" {taught.unlabelled} tiles have the teacher's answer for a label: on these, a score is agreement "
        f"with the teacher, not accuracy."
    )


def _beside_teacher(about: Description) -> list[str]:
    """The two figures of a student, as a section of its own."""
    taught = about.distilled_from
    if taught is None or taught.beside_teacher is UNSET or taught.unsure is UNSET:
        return []
    verdict, unsure = taught.beside_teacher, taught.unsure
    classes = zip(about.classes, unsure.teacher_classes, unsure.classes, strict=True)
    sizes = ", ".join(f"{one.label} {given} (teacher {own})" for one, own, given in classes)
    text = (
        f"On {verdict.tiles} held-out tiles of {verdict.slides} slides {verdict.flips} have another class "
        f"than the teacher says (at most {percent(verdict.flip_interval[1], 2)}: upper end of the 95 % "
        f"interval); {verdict.changed_slides} of {verdict.assessed_slides} slide labels changed. On "
        f"{unsure.tiles} tiles of {unsure.slides} slides where the teacher is unsure, or between classes, "
        f"both agree on {unsure.agree} ({_share(unsure.agree, unsure.tiles)}); the teacher agrees with "
        f"itself, turned by 90 degrees, on {unsure.turned} ({_share(unsure.turned, unsure.tiles)}). Tiles of "
        f"each class there: {sizes}. Agreement with a teacher is not accuracy."
    )
    return ["## Beside the teacher", text]


def _share(part: int, tiles: int) -> str:
    return percent(part / tiles, 1) if tiles else "no tile"


def _score(part: str, score: Score, labels: tuple[str, ...]) -> str:
    of = f"{score.tiles} tiles of {score.slides} slides ({score.patients} patients)"
    classes = zip(labels, score.per_class, score.recall, score.confusion, strict=True)
    table = markdown(
        ("class", "tiles", "found", *(f"called {label}" for label in labels)),
        ((label, n, percent(recall, 1), *row) for label, n, recall, row in classes),
    )
    return "\n".join([f"{part.capitalize()}: {percent(score.accuracy, 2)} of {of} are right.", "", *table])


def _conversion(about: Description) -> str:
    text = f"Scheme {about.scheme}."
    if about.learnt:
        text += f" {about.learnt}."
    if about.calibration:
        text += f" Ranges from {len(about.calibration.tile_ids)} tiles of the training part, none of another."
    if about.float_layers:
        text += f" In float: {', '.join(about.float_layers)}."
    return text if about.gate is None else text + _beside_float32(about.gate, about.temperature)


def _beside_float32(gate: Verdict, temperature: float) -> str:
    text = (
        f" Beside the trained float32 network, on {gate.tiles} held-out tiles of {gate.slides} slides: "
        f"{gate.flips} with another class (at most {percent(gate.flip_interval[1], 2)}: upper end of the "
        f"95 % interval), accuracy {percent(gate.accuracy, 2)} where float32 has "
        f"{percent(gate.accuracy + gate.accuracy_drop, 2)}; "
        f"{gate.changed_slides} of {gate.assessed_slides} slide labels changed; probabilities differ by "
        f"{gate.max_difference:.3f} at most, {gate.mean_difference:.4f} on average. Temperature "
        f"{temperature:g}, fitted on the same tiles. Limits: {gate.limits}."
    )
    if gate.accepted_loss:
        text += f"\n\n**Written although the gate refuses it**: {'; '.join(gate.reasons)}."
    return text
