"""What `quantize` may be asked for. Needs neither TensorFlow nor the toolkit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from her2edge.errors import OptionError
from her2edge.model.records import Limits, Scheme
from her2edge.model.slide_records import StudentLimits

Export = Literal["portable", "fast"]
Report = Callable[[str], None]

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
INT8: tuple[Scheme, ...] = ("int8", "int8-qat")
EXPORTS: tuple[Export, ...] = get_args(Export)
PER_CLASS = 64


@dataclass(frozen=True)
class QatOptions:
    """How weights are trained for int8.

    epochs:          at most so many passes.
    learning_rate:   of gradient descent with momentum, constant.
    batch:           tiles per step, one crop of each.
    tile_px:         side of the crops, pixels; None means that of the recipe's last stage.
    tiles_per_epoch: a fresh random choice of so many training tiles each epoch; None means all.
    minutes:         no step begins later; scoring and conversion come on top.

    Raises OptionError for a number that is not above 0.
    """

    epochs: int = 2
    learning_rate: float = 1e-4
    batch: int = 8
    tile_px: int | None = None
    tiles_per_epoch: int | None = None
    minutes: float = 60.0

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "batch", "tile_px", "tiles_per_epoch", "minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"found {name}={value} of training for int8, expected a number above 0")


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """How a network is converted, and what the model file says of it.

    scheme:      one of SCHEMES; quantize/README.md says what each is for.
    export:      "portable": the file's network takes uint8 RGB, for any TFLite user; "fast": its stem takes
                 the tile as the SDK packs it, with the same answers (int8 of a ResNet only).
    name:        of the model; None: the recipe's name and the scheme.
    version:     of the model.
    demo:        marks a model that knows synthetic tissue only; set by itself where the tiles are synthetic.
    per_class:   calibration tiles of each class, from the training part (int8, int8-qat).
    gate_data:   slides, folders or lists of tiles of other patients, which judge; labels are not needed.
    limits:      what the gate lets through.
    teacher:     of a student's run: the model file or run that taught it.
    unsure_data: as gate_data, of tissue that lies between classes, for a student.
    student_limits: what a student must show beside its teacher.
    accept_loss: write the model where the gate refuses it; the manifest says so.
    keep_float:  int8 with squeeze-excite, depth-wise layers and head in float.
    qat:         how weights are trained for int8 (int8-qat only); None: as QatOptions() says.

    Raises OptionError for an unknown value, or for two options that exclude each other.
    """

    scheme: Scheme
    export: Export = "portable"
    name: str | None = None
    version: str = "0.1.0"
    demo: bool = False
    per_class: int = PER_CLASS
    gate_data: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)
    teacher: Path | None = None
    unsure_data: tuple[Path, ...] = ()
    student_limits: StudentLimits = field(default_factory=StudentLimits)
    accept_loss: bool = False
    keep_float: bool = False
    qat: QatOptions | None = None

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise OptionError(f"found scheme {self.scheme!r}, expected one of {', '.join(SCHEMES)}")
        if self.export not in EXPORTS:
            raise OptionError(f"found export {self.export!r}, expected one of {', '.join(EXPORTS)}")
        if self.name is not None:
            _check_name(self.name)
        if self.keep_float and self.scheme != "int8":
            raise OptionError(
                f"found keep_float with scheme {self.scheme}, expected int8: others compute in float"
            )
        if self.qat is not None and self.scheme != "int8-qat":
            raise OptionError(
                f"found options of training for int8 with the scheme {self.scheme}, expected int8-qat"
            )
        if self.unsure_data and self.teacher is None:
            raise OptionError("found unsure_data without a teacher, expected both: it judges students")
        if self.export == "fast" and self.scheme not in INT8:
            raise OptionError(f"found export 'fast' for {self.scheme}, expected int8: use 'portable'")
        if self.export == "fast" and self.keep_float:
            raise OptionError(
                "found export 'fast' with layers kept in float, expected int8 throughout: use 'portable'"
            )


def _check_name(name: str) -> None:
    """Raise OptionError for a name that a model card's front matter cannot hold."""
    if not name.strip() or not name.isprintable() or set(name) & set('"\\'):
        raise OptionError(f"found name {name!r}, expected printable characters without quotes or backslashes")
