"""What goes wrong only here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from her2edge.errors import Her2EdgeError

if TYPE_CHECKING:
    from her2edge_training.register.rigid import RigidTransform


class RegistrationError(Her2EdgeError, ValueError):
    """Two slides that cannot be brought into register, or not well enough to be believed.

    transform: the best one there is, from the IHC to the H&E slide, not believed; None: there is none.
    """

    def __init__(self, message: str, transform: RigidTransform | None = None) -> None:
        super().__init__(message)
        self.transform = transform


class CarryError(Her2EdgeError, ValueError):
    """A file that is no GeoJSON of shapes, so nothing can be carried."""
