"""Several devices, one network: each batch is divided among them, the sums are over the whole batch.

keras.distribution on JAX (KERAS_BACKEND=jax). Arrays are global there: loss, gradient and the statistics of
batch normalisation are those of the whole batch, so the network is the one that a single device would make,
within the rounding of sums taken in another order. One thing enlarges that rounding: a bias before batch
normalisation (ResNet50 has them) has no gradient but rounding, of which Adam makes whole steps. Training does
not see them; validation does, a little, as the moving mean follows them late.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from her2edge.errors import OptionError
from her2edge_training.network.backend import keras
from her2edge_training.recipe import Recipe


@dataclass(frozen=True)
class Hardware:
    """What Keras computes on: its backend ("jax", "tensorflow") and the devices it lists ("gpu:0", ...)."""

    backend: str
    devices: tuple[str, ...]

    @classmethod
    def here(cls) -> Hardware:
        """That of this machine, by KERAS_BACKEND."""
        return cls(keras.backend.backend(), tuple(keras.distribution.list_devices()))


def check_devices(devices: int, recipe: Recipe, tiles: int, hardware: Hardware | None = None) -> None:
    """Raise OptionError where `devices` devices cannot train a recipe on `tiles` training tiles.

    hardware: None means this machine's.
    """
    if devices == 1:
        return
    hardware = hardware or Hardware.here()
    if hardware.backend != "jax":
        raise OptionError(
            f"found devices={devices} with Keras on {hardware.backend}, expected JAX for more than one: "
            "set KERAS_BACKEND=jax"
        )
    if len(hardware.devices) < devices:
        raise OptionError(
            f"found {len(hardware.devices)} devices ({', '.join(hardware.devices)}), "
            f"expected devices={devices}"
        )
    for number, stage in enumerate(recipe.stages, start=1):
        if stage.batch % devices:
            raise OptionError(
                f"found batch={stage.batch} in stage {number}, expected a multiple of devices={devices}"
            )
        crops = min(stage.tiles_per_epoch or tiles, tiles) * stage.crops_per_tile
        if crops < stage.batch:
            raise OptionError(
                f"found {crops} crops an epoch in stage {number}, expected at least a batch of "
                f"{stage.batch} to divide among {devices} devices"
            )


@contextmanager
def data_parallel(devices: int) -> Iterator[None]:
    """Networks built inside live on the first `devices` devices; none of it is left afterwards."""
    if devices == 1:
        yield
        return
    chosen = keras.distribution.list_devices()[:devices]
    with keras.distribution.DataParallel(devices=chosen).scope():
        yield
