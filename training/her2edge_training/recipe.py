"""What is trained and how: frozen records, checked when they are made. Needs no Keras."""

from __future__ import annotations

import importlib
import pkgutil
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from her2edge.errors import Her2EdgeError, MissingInputError, OptionError
from her2edge.stain.mode import StainMode, stain_mode
from her2edge_training.classes import CLASSES, Table, check_table

ARCHITECTURES = ("se_resnet50", "resnet50", "efficientnetb0", "inceptionv3")
MINIMUM_TILE_PX = {"se_resnet50": 32, "resnet50": 32, "efficientnetb0": 32, "inceptionv3": 75}
PROTOCOLS = ("slide-grouped", "tile-random", "site-held-out")
AUGMENTATIONS = ("flip", "rotate90")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def _positive(record: object, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if not value > 0:
            raise OptionError(f"found {name}={value}, expected a number above 0")


def _positive_or_none(record: object, *names: str) -> None:
    for name in names:
        if getattr(record, name) is not None:
            _positive(record, name)


_KEYS = {"mpp": "um_per_pixel"}  # in recipe.json


@dataclass(frozen=True)
class Stage:
    """One stretch of training at one input size.

    tile_px:         side of the crops the network sees, pixels.
    epochs:          at most so many passes.
    learning_rate:   Adam's at the start of the stage; ReduceLROnPlateau may lower it.
    batch:           crops per step.
    crops_per_tile:  random crops taken from one decoded tile into the same batch; divides `batch`.
    tiles_per_epoch: a fresh random choice of so many training tiles each epoch; None means all.
    minutes:         leave the stage after the epoch in which it has taken so long; None means never.
    """

    tile_px: int
    epochs: int
    learning_rate: float
    batch: int
    crops_per_tile: int = 1
    tiles_per_epoch: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        _positive(self, "tile_px", "epochs", "learning_rate", "batch", "crops_per_tile")
        _positive_or_none(self, "tiles_per_epoch", "minutes")
        if self.batch % self.crops_per_tile:
            raise OptionError(
                f"found batch={self.batch} and crops_per_tile={self.crops_per_tile}: "
                "expected the second to divide the first"
            )


@dataclass(frozen=True)
class Split:
    """protocol: "slide-grouped" (no patient or slide in two parts), "tile-random" (the paper's) or
        "site-held-out" (slide-grouped, and the test part is one site's tiles, all of them).
    fractions: (train, validation, test), shares of the tiles that sum to 1.
    fold: with "slide-grouped", (i, k): the test part is the i-th of k folds, from 0, whatever its fraction.
    site: with "site-held-out", which."""

    protocol: str = "slide-grouped"
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    fold: tuple[int, int] | None = None
    site: str | None = None

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise OptionError(
                f"found split protocol {self.protocol!r}, expected one of {', '.join(PROTOCOLS)}"
            )
        if len(self.fractions) != 3 or min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise OptionError(f"found split fractions {self.fractions}, expected three above 0 that sum to 1")
        if (self.site is None) == (self.protocol == "site-held-out"):
            raise OptionError(
                f"found site={self.site!r} with the protocol {self.protocol}, expected a site exactly where "
                "one is held out"
            )
        if self.fold is not None and not (
            self.protocol == "slide-grouped" and self.fold[1] >= 2 and 0 <= self.fold[0] < self.fold[1]
        ):
            raise OptionError(
                f"found fold={self.fold} with the protocol {self.protocol}, expected (i, k) with 0 <= i < k, "
                "k at least 2, of slide-grouped"
            )


@dataclass(frozen=True)
class Stain:
    """mode: PER_TILE (Macenko of each full tile, as the edge does) or OFF; profile: of her2edge.stain."""

    mode: StainMode = StainMode.PER_TILE
    profile: str = "torchstain"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", stain_mode(self.mode, (StainMode.PER_TILE, StainMode.OFF)))


@dataclass(frozen=True)
class Plateau:
    """ReduceLROnPlateau on validation accuracy. Table I gives factor and minimum; the patience is ours."""

    factor: float = 0.5
    patience: int = 3
    minimum: float = 1e-7

    def __post_init__(self) -> None:
        _positive(self, "patience", "minimum")
        if not 0 < self.factor < 1:
            raise OptionError(f"found plateau factor={self.factor}, expected a share between 0 and 1")


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run, beside the tiles.

    weights:               None (random), "imagenet", or the path of a local no-top .h5 file.
    weights_sha256:        hex digest the local file must have; None means unchecked.
    mpp, tile_px:          scale (um per pixel) and side of the tiles the finished model reads.
    max_background_share:  tiles with at least this share of background are left out.
    max_unreadable_share:  tiles that cannot be read are left out up to this share of all, then refused.
    classes:               (class, label) pairs: what the classes of annotations stand for when tiles are cut.
    augmentations:         of AUGMENTATIONS.
    stain_jitter:          share by which the concentration of each stain varies, 0..0.9.
    batch_norm_momentum:   None means the architecture's own (Keras: 0.99).
    precision:             what layers compute in while training: "float32", or with float32 weights and
                           logits "mixed_bfloat16" (TPU, newer GPUs) or "mixed_float16" (older GPUs; the
                           loss is scaled, Micikevicius et al. 2018, arXiv 1710.03740). The finished
                           network is float32, whatever it was trained in.
    """

    name: str
    architecture: str
    stages: tuple[Stage, ...]
    seed: int = 1
    weights: str | None = None
    weights_sha256: str | None = None
    se_ratio: int = 16
    separable_filters: int = 512
    dense_units: int = 256
    dropout: float = 0.5
    labels: tuple[str, ...] = ("0/1+", "2+", "3+")
    mpp: float = 0.25
    tile_px: int = 512
    split: Split = Split()
    stain: Stain = Stain()
    max_background_share: float = 0.60
    max_unreadable_share: float = 0.01
    classes: Table = CLASSES
    augmentations: tuple[str, ...] = ()
    stain_jitter: float = 0.0
    plateau: Plateau = Plateau()
    batch_norm_momentum: float | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise OptionError(
                f"found architecture {self.architecture!r}, expected one of {', '.join(ARCHITECTURES)}"
            )
        _positive(self, "se_ratio", "separable_filters", "dense_units", "mpp", "tile_px")
        if not self.stages:
            raise OptionError("found a recipe without stages, expected at least one Stage")
        largest = max(stage.tile_px for stage in self.stages)
        smallest = min(self.tile_px, *(stage.tile_px for stage in self.stages))
        if largest > self.tile_px or smallest < MINIMUM_TILE_PX[self.architecture]:
            raise OptionError(
                f"found crops of {smallest}..{largest} px, expected {MINIMUM_TILE_PX[self.architecture]} "
                f"(the least of {self.architecture}) to {self.tile_px} (the recipe's tile_px)"
            )
        if len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:
            raise OptionError(f"found labels {self.labels}, expected two or more different ones")
        if self.classes != CLASSES:  # which a recipe of other labels may leave alone
            check_table(self.classes, self.labels)
        if self.seed < 0:
            raise OptionError(f"found seed={self.seed}, expected 0 or above")
        for key, low, high in (
            ("dropout", 0.0, 0.999),
            ("max_background_share", 0.0, 1.0),
            ("max_unreadable_share", 0.0, 1.0),
            ("stain_jitter", 0.0, 0.9),
        ):
            if not low <= getattr(self, key) <= high:
                raise OptionError(f"found {key}={getattr(self, key)}, expected {low}..{high}")
        if self.batch_norm_momentum is not None and not 0 < self.batch_norm_momentum < 1:
            raise OptionError(
                f"found batch_norm_momentum={self.batch_norm_momentum}, expected between 0 and 1"
            )
        if self.precision not in PRECISIONS:
            raise OptionError(f"found precision {self.precision!r}, expected one of {', '.join(PRECISIONS)}")
        if self.stain_jitter and self.stain.mode == StainMode.OFF:
            raise OptionError(
                f"found stain_jitter={self.stain_jitter} with the stain mode 'off', expected 'per_tile': the "
                "stains of a tile that is not normalised are not known"
            )
        unknown = [name for name in self.augmentations if name not in AUGMENTATIONS]
        if unknown:
            raise OptionError(f"found augmentations {unknown}, expected only {', '.join(AUGMENTATIONS)}")


def recipe_names() -> tuple[str, ...]:
    """Names of the built-in recipes, sorted."""
    from her2edge_training import recipes

    return tuple(sorted(module.name for module in pkgutil.iter_modules(recipes.__path__)))


def load_recipe(name_or_path: str | Path, *, smoke: bool = False) -> Recipe:
    """Return RECIPE (with `smoke`: smoke()) of a built-in recipe, or of a .py file, which is run as code.

    Raises OptionError for an unknown name or a file that makes no recipe, MissingInputError for no file.
    """
    if str(name_or_path).endswith(".py"):
        module = _run_file(Path(name_or_path))
    elif str(name_or_path) in recipe_names():
        module = vars(importlib.import_module(f"her2edge_training.recipes.{name_or_path}"))
    else:
        raise OptionError(
            f"found recipe {str(name_or_path)!r}, expected one of {', '.join(recipe_names())}, "
            "or the path of a .py file with a RECIPE"
        )
    key = "smoke" if smoke else "RECIPE"
    if key not in module:
        raise OptionError(f"recipe {name_or_path} has no {key}: see her2edge_training/recipes for the form")
    recipe = module[key]() if smoke else module[key]
    if not isinstance(recipe, Recipe):
        raise OptionError(f"{key} of {name_or_path} is a {type(recipe).__name__}, expected a Recipe")
    return recipe


def _run_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingInputError(f"no recipe file at {path}")
    try:
        return runpy.run_path(str(path))
    except Her2EdgeError:
        raise
    except Exception as error:
        raise OptionError(f"recipe file {path} failed: {type(error).__name__}: {error}") from error


def dump_recipe(recipe: Recipe) -> bytes:
    """Indented JSON of every field."""
    record = {_KEYS.get(name, name): value for name, value in msgspec.to_builtins(recipe).items()}
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def read_recipe(path: Path) -> Recipe:
    """Read a run's recipe.json back; raises MissingInputError or OptionError."""
    if not path.is_file():
        raise MissingInputError(f"no recipe.json at {path}: expected the folder of a training run")
    try:
        record = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        names = {key: name for name, key in _KEYS.items()}
        return msgspec.convert({names.get(key, key): value for key, value in record.items()}, Recipe)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise OptionError(f"{path} is not a recipe: {error}") from error
