"""The parts of a manifest that every schema has: tensors, stain, tissue, training, gate."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from her2edge.text import percent

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Positive = Annotated[float, Meta(gt=0)]
Temperature = Annotated[float, Meta(ge=1e-3, le=1e3)]  # of a softmax: beyond, it makes 0, 1 or no number
Count = Annotated[int, Meta(ge=0)]
Scheme = Literal["fp32", "fp16", "dynamic", "int8", "int8-qat"]


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the manifest."""


class Member(Record, frozen=True, kw_only=True):
    """A part of the file: its size in bytes and its hash."""

    size: Count
    sha256: Sha256


class Packing(Record, frozen=True, kw_only=True):
    """How the host packs a tile for a stem convolution of 7x7 with stride 2; see `her2edge.runtime.packing`.

    table: (3, 256) int8, what the convolution reads for each grey value of R, of G and of B.
    border: what it reads around the tile: the mean that preprocessing takes off, in the same numbers.
    """

    layout: Literal["stem-7x7-2"]
    table: Annotated[bytes, Meta(min_length=768, max_length=768)]
    border: Annotated[int, Meta(ge=-128, le=127)]


class Input(Record, frozen=True, kw_only=True):
    """The tile the network takes, (1, tile_px, tile_px, 3) uint8 RGB, NHWC.

    A stored value q means the grey value scale * (q - zero_point). With `packing`, the network takes the
    same tile packed by the host.
    """

    tile_px: Annotated[int, Meta(ge=1)]
    mpp: Positive = field(name="um_per_pixel")
    scale: Positive
    zero_point: int
    dtype: Literal["uint8"] = "uint8"
    colour: Literal["RGB"] = "RGB"
    packing: Packing | UnsetType = UNSET


class Output(Record, frozen=True, kw_only=True):
    """An output tensor; a stored value q means scale * (q - zero_point), or itself where scale is 0."""

    shape: tuple[Annotated[int, Meta(ge=1)], ...]
    dtype: Literal["float32", "int8", "uint8"]
    scale: Annotated[float, Meta(ge=0)]
    zero_point: int


class StainTarget(Record, frozen=True, kw_only=True):
    """Stain matrix (3, 2) and maximal concentrations (2,) in optical density, natural log."""

    stain_matrix: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    max_concentration: tuple[Positive, Positive]


class Stain(Record, frozen=True, kw_only=True):
    """How tiles are normalised before the network sees them."""

    mode: Literal["per_tile", "slide", "off"]
    profile: Literal["torchstain", "tiatoolbox"]
    target: StainTarget


class Tissue(Record, frozen=True, kw_only=True):
    """Background: at least `background_share` of grey values lie in low..high."""

    low: Annotated[int, Meta(ge=0, le=255)]
    high: Annotated[int, Meta(ge=0, le=255)]
    background_share: Annotated[float, Meta(gt=0, le=1)]


class Calibration(Record, frozen=True, kw_only=True):
    """Tiles that set the quantisation ranges, from the training split: salted hashes of their ids."""

    salt: str
    tile_ids: tuple[Sha256, ...]


class Training(Record, frozen=True, kw_only=True):
    """Where the weights come from."""

    recipe: str
    data: str
    protocol: str
    seed: int
    weights: str


class GoldenOrigin(Record, frozen=True, kw_only=True):
    """What computed the golden logits: the same again gives identical int8 outputs."""

    runtime: str
    version: str
    architecture: str


GATE_PATIENTS = 60  # with fewer, no bound of a share of their tiles is stated


class Limits(Record, frozen=True, kw_only=True):
    """What a conversion may cost: shares of tiles, 0..1, and slides; shown on at least `tiles` tiles.

    patients: the least number of them; unset stands for GATE_PATIENTS where a model is judged, and for any
    number in files of before this was asked.
    """

    flips: Annotated[float, Meta(ge=0, le=1)] = 0.01
    accuracy_drop: Annotated[float, Meta(ge=0, le=1)] = 0.005
    changed_slides: Count = 0
    tiles: Count = 2000
    patients: Count | UnsetType = UNSET

    def __str__(self) -> str:
        of = "" if self.patients is UNSET else f" of {self.patients} patients"
        return (
            f"{percent(self.flips, None)} of tiles with another class, {100 * self.accuracy_drop:g} points "
            f"of accuracy, {self.changed_slides} slide labels changed, shown on at least {self.tiles} "
            f"tiles{of}"
        )


class Verdict(Record, frozen=True, kw_only=True):
    """The model beside the trained float32 network, on tiles that training did not learn from.

    flips:          tiles whose most probable class differs. Intervals are 95 %, of shares of tiles, 0..1;
                    they count tiles of one patient as dependent.
    flip_likeness:  intra-class correlation of flips within patients; None where it cannot be told.
    labelled:       tiles that accuracy is of; unset: all of them.
    accuracy_drop:  tiles that float32 has right less those that the model has right, as a share; < 0: a gain.
    assessed_slides, changed_slides: slides with a slide-level label, and those whose label differs.
    max_difference, mean_difference: of a tile's largest difference of probability, 0..1.
    reasons:        why the gate refuses, one line each; none where it passes.
    accepted_loss:  written all the same, because the caller asked for it.
    """

    tiles: Count
    slides: Count
    patients: Count
    flips: Count
    flip_interval: tuple[float, float]
    accuracy: float
    accuracy_drop: float
    accuracy_drop_interval: tuple[float, float]
    assessed_slides: Count
    changed_slides: Count
    max_difference: float
    mean_difference: float
    limits: Limits
    reasons: tuple[str, ...]
    accepted_loss: bool = False
    flip_likeness: float | UnsetType | None = UNSET
    labelled: Count | UnsetType = UNSET


class Common(Record, frozen=True, kw_only=True):
    """What a manifest of every schema fixes. `epoch` only grows: a trust configuration may refuse older ones.

    float_layers: layers of an integer scheme that compute in float. gate: None in files older than it.
    """

    name: str
    version: str
    epoch: Count
    demo: bool
    intended_use: str
    architecture: str
    scheme: Scheme
    input: Input
    logits: Output
    features: Output
    temperature: Temperature
    stain: Stain
    tissue: Tissue
    calibration: Calibration | None
    training: Training
    metrics: dict[str, float]
    tools: dict[str, str]
    flatbuffer: Member
    members: dict[str, Member]
    float_layers: tuple[str, ...] = ()
    gate: Verdict | None = None
    golden_origin: GoldenOrigin | UnsetType = UNSET
