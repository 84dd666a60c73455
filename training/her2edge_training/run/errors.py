"""What is wrong with a run."""

from her2edge.errors import ModelError


class RunFolderError(ModelError):
    """A file of a training run is damaged, or is not of this run; names the file and what to do."""


class TrainingDivergedError(ModelError):
    """The loss is no longer a number; the last good weights are kept."""
