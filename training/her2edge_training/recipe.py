"""What is trained and how: frozen records, checked when they are made. Needs no Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from her2edge.errors import OptionError
from her2edge.files import json_bytes, parse_json, read_json
from her2edge.model.classes import LabelClass, LowDefinition, check_classes, classes_of
from her2edge.regions.classes import Table
from her2edge.stain.mode import StainMode, stain_mode
from her2edge_training.classes import CLASSES, check_table, classes_for

Architecture = Literal["se_resnet50", "resnet50", "efficientnetb0", "inceptionv3", "mobilenetv4_small"]
Protocol = Literal["slide-grouped", "tile-random", "site-held-out"]
Augmentation = Literal["flip", "rotate90"]
ClassWeights = Literal["balanced"]
Precision = Literal[
    "float32", "mixed_bfloat16", "mixed_float16"
]  # Micikevicius et al. 2018, arXiv 1710.03740
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
MINIMUM_TILE_PX: dict[Architecture, int] = {
    "se_resnet50": 32,
    "resnet50": 32,
    "efficientnetb0": 32,
    "inceptionv3": 75,
    "mobilenetv4_small": 32,
}
_PLAIN = {str: "text in quotes", bool: "True or False"}
_SHOWN = 60  # characters of a value
_LARGEST = 1 << 20  # bytes of a recipe.json
# Fields that came later are written where they say something: the recipe.json of earlier runs stays as it is.
_LATER = {"class_weights": None, "her2_low": None, "cosine_warmup": None, "norm_tiles": None}
_LATER_IN_STAGES = {"frozen_backbone": False}

# The descriptions are what a message expects.
_SOME_TURNS = f"any of {', '.join(get_args(Augmentation))}, in round brackets: ('flip',)"
Count = Annotated[int, Meta(gt=0, description="a whole number above 0")]
Positive = Annotated[float, Meta(gt=0, description="a number above 0")]
Share = Annotated[float, Meta(ge=0, le=1, description="0.0..1.0")]
Between = Annotated[float, Meta(gt=0, lt=1, description="a share between 0 and 1")]


class _Record(msgspec.Struct, frozen=True):
    """msgspec holds fields against their types where it decodes; this does it wherever a record is made."""

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            try:
                fits = msgspec.convert(value, field.type) == value
            except msgspec.ValidationError:
                fits = False
            if not fits:
                expected = _words(field.type)
                expected += " or None" if type(None) in get_args(field.type) and value is not None else ""
                raise OptionError(f"found {field.name}={_short(value)}, expected {expected}")


def _short(value: object) -> str:
    """A value as a recipe has it; a record by its kind, and no more of a long one than shows what it is."""
    if isinstance(value, _Record):
        return f"a {type(value).__name__}"
    if isinstance(value, list) and value and isinstance(value[0], _Record):
        return f"a list of {type(value[0]).__name__}, in square brackets"
    return text if len(text := repr(value)) <= _SHOWN else f"{text[:_SHOWN]}..."


def _words(kind: Any) -> str:
    """What a field's type says of itself, the outermost first; nothing where it says nothing."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if isinstance(kind, type) and (kind in _PLAIN or issubclass(kind, msgspec.Struct)):
        return _PLAIN.get(kind) or f"a {kind.__name__}(...)"
    own = next((meta.description for meta in getattr(kind, "__metadata__", ()) if meta.description), None)
    return own or next((words for part in get_args(kind) if (words := _words(part))), "")


class Stage(_Record, frozen=True):
    """One stretch of training at one input size.

    Its fields are explained in `her2edge_training.explained`, as those of all records here.
    """

    tile_px: Count
    epochs: Count
    learning_rate: Positive
    batch: Count
    crops_per_tile: Count = 1
    tiles_per_epoch: Count | None = None
    minutes: Positive | None = None
    frozen_backbone: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch % self.crops_per_tile:
            raise OptionError(
                f"found batch={self.batch} and crops_per_tile={self.crops_per_tile}: "
                "expected the second to divide the first"
            )


Fractions = Annotated[
    tuple[Between, Between, Between], Meta(description="three shares above 0 that sum to 1")
]


class Split(_Record, frozen=True):
    """Which tiles train, which choose the best epoch, which are scored."""

    protocol: Protocol = "slide-grouped"
    fractions: Fractions = (0.6, 0.2, 0.2)
    fold: Annotated[tuple[int, int], Meta(description="two whole numbers, (i, k)")] | None = None
    site: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if abs(sum(self.fractions) - 1) > 1e-6:
            raise OptionError(f"found fractions={self.fractions}, expected {_words(Fractions)}")
        if (self.site is None) == (self.protocol == "site-held-out"):
            raise OptionError(
                f"found site={self.site!r} with the protocol {self.protocol}, expected a site with the "
                f"protocol site-held-out only"
            )
        if self.fold is not None and not (
            self.protocol == "slide-grouped" and self.fold[1] >= 2 and 0 <= self.fold[0] < self.fold[1]
        ):
            raise OptionError(
                f"found fold={self.fold} with the protocol {self.protocol}, expected (i, k) with 0 <= i < k, "
                "k at least 2, of slide-grouped"
            )


class Stain(_Record, frozen=True):
    """What is done to the stains of a tile. profile: of her2edge.stain."""

    mode: StainMode = StainMode.PER_TILE
    profile: str = "torchstain"

    def __post_init__(self) -> None:
        mode = stain_mode(self.mode, (StainMode.PER_TILE, StainMode.OFF))
        msgspec.structs.force_setattr(self, "mode", mode)
        super().__post_init__()


class Plateau(_Record, frozen=True):
    """ReduceLROnPlateau on validation accuracy."""

    factor: Between = 0.5
    patience: Count = 3
    minimum: Positive = 1e-7


class Recipe(_Record, frozen=True):
    """All that decides a training run, beside the tiles.

    `her2edge_training.explained` says what each field means, `her2edge recipe NAME` prints it.

    Raises OptionError for a value out of range. A copy with other values: `msgspec.structs.replace`.
    """

    name: str
    architecture: Architecture
    stages: Annotated[
        tuple[Stage, ...],
        Meta(min_length=1, description="one Stage or more, in round brackets: (Stage(...),)"),
    ]
    seed: Annotated[int, Meta(ge=0, description="a whole number of 0 or above")] = 1
    weights: str | None = None
    weights_sha256: str | None = None
    se_ratio: Count = 16
    separable_filters: Count = 512
    dense_units: Count = 256
    dropout: Annotated[float, Meta(ge=0, le=0.999, description="0.0..0.999")] = 0.5
    labels: Annotated[
        tuple[str, ...], Meta(min_length=2, max_length=4, description="two to four different ones")
    ] = (
        "0/1+",
        "2+",
        "3+",
    )
    mpp: Positive = msgspec.field(default=0.25, name="um_per_pixel")
    tile_px: Count = 512
    split: Split = Split()
    stain: Stain = Stain()
    max_background_share: Share = 0.60
    max_unreadable_share: Share = 0.01
    classes: Annotated[Table, Meta(description="pairs of a class and its label")] = CLASSES
    augmentations: Annotated[tuple[Augmentation, ...], Meta(description=_SOME_TURNS)] = ()
    stain_jitter: Annotated[float, Meta(ge=0, le=0.9, description="0.0..0.9")] = 0.0
    plateau: Plateau = Plateau()
    batch_norm_momentum: Between | None = None
    precision: Precision = "float32"
    class_weights: ClassWeights | None = None
    her2_low: LowDefinition | None = None
    cosine_warmup: Count | None = None
    norm_tiles: Count | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_crops(self)
        _check_labels(self.labels, self.her2_low)
        if self.classes == CLASSES:
            msgspec.structs.force_setattr(self, "classes", classes_for(self.labels))
        check_table(self.classes, self.labels)
        if self.stain_jitter and self.stain.mode is StainMode.OFF:
            raise OptionError(
                f"found stain_jitter={self.stain_jitter} with the stain mode 'off', expected 'per_tile': the "
                "stains of a tile that is not normalised are not known"
            )


def _check_crops(recipe: Recipe) -> None:
    largest = max(stage.tile_px for stage in recipe.stages)
    smallest = min(recipe.tile_px, *(stage.tile_px for stage in recipe.stages))
    least = MINIMUM_TILE_PX[recipe.architecture]
    if largest > recipe.tile_px or smallest < least:
        raise OptionError(
            f"found crops of {smallest}..{largest} px, expected {least} "
            f"(the least of {recipe.architecture}) to {recipe.tile_px} (the recipe's tile_px)"
        )


def _check_labels(labels: tuple[str, ...], low: LowDefinition | None) -> None:
    """Raise OptionError for labels that no model file can hold: hours of training would end in nothing."""
    if low is not None and not (low.definition.strip() and low.shown_on.strip()):
        raise OptionError(f"found her2_low={low}, expected a definition and what it was shown on")
    try:
        check_classes(parse_json(msgspec.json.encode(classes_of(labels)), tuple[LabelClass, ...]), low)
    except ValueError as error:  # ModelError too
        raise OptionError(f"labels={labels}: {error}") from error


def dump_recipe(recipe: Recipe) -> bytes:
    """Indented JSON of every field, but of later ones that say nothing."""
    fields = _without(msgspec.to_builtins(recipe), _LATER)
    return json_bytes(fields | {"stages": [_without(stage, _LATER_IN_STAGES) for stage in fields["stages"]]})


def _without(fields: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if usual.get(name, ...) != value}


def read_recipe(path: Path) -> Recipe:
    """Read a run's recipe.json back; raises MissingInputError or OptionError."""
    expected = "the recipe of a training run"
    return read_json(path, Recipe, limit=_LARGEST, expected=expected, wrong=OptionError)
