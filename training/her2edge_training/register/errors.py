"""What goes wrong only here."""

from her2edge.errors import Her2EdgeError


class RegistrationError(Her2EdgeError, ValueError):
    """Two slides that cannot be brought into register, or not well enough to be believed."""


class CarryError(Her2EdgeError, ValueError):
    """A file that is no GeoJSON of shapes, so nothing can be carried."""
