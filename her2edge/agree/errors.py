"""AgreeError."""

from her2edge.errors import Her2EdgeError


class AgreeError(Her2EdgeError, ValueError):
    """Results and known scores that cannot be put together: too few, or not of one model and rule."""
