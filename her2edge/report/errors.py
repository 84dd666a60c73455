"""The error of this room."""

from her2edge.errors import Her2EdgeError


class ResultsError(Her2EdgeError, ValueError):
    """A results folder that no page can be made of, or a slide or model that is not its own."""
