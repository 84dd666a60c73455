"""Brings an H&E and an IHC slide into register and carries shapes from one to the other.

A rigid transform: turn and shift; the scale is known from um per pixel. Sections that are folded, stretched
or from elsewhere in the block do not fit, and are refused.
"""

from her2edge_training.register.align import Alignment, align
from her2edge_training.register.carry import carry, read_shapes
from her2edge_training.register.errors import CarryError, RegistrationError
from her2edge_training.register.residual import Residual
from her2edge_training.register.rigid import RigidTransform
from her2edge_training.register.slides import Registration, SlidePair, read_pair, register_pair
from her2edge_training.register.write import carried_path, write_refused, write_registration, write_shapes

__all__ = [
    "Alignment",
    "CarryError",
    "Registration",
    "RegistrationError",
    "Residual",
    "RigidTransform",
    "SlidePair",
    "align",
    "carried_path",
    "carry",
    "read_pair",
    "read_shapes",
    "register_pair",
    "write_refused",
    "write_registration",
    "write_shapes",
]
