"""Everything her2edge raises on purpose.

    Her2EdgeError
    ├── TileError (ValueError)                  a tile's array or frame is not what the model needs
    │   └── TileListError                       a cohort's tile list; her2edge_training.cohort.tile_list
    ├── StainError (ValueError)                 a stain target or fit is unusable
    ├── SlideError (ValueError)                 a slide that can be read but not used (scale, format)
    ├── SlideReadError (OSError)                a slide, image or region that cannot be decoded
    │   ├── HungError                           one region after the other hangs; her2edge.slide.isolated
    │   └── NotStartedError                     no process to read in can start; her2edge.slide.isolated
    ├── MissingInputError (FileNotFoundError)   the file or folder is not there, or is empty
    ├── ModelError (ValueError)                 a model file that is damaged, foreign, or not trusted here
    │   ├── GateRefusedError                    the conversion costs too much; her2edge_quantize.gate.verdict
    │   ├── RunFolderError                      a training run that is damaged; her2edge_training.run.errors
    │   └── TrainingDivergedError               the loss is no number; her2edge_training.run.errors
    ├── RuntimeUnavailable (ImportError)        a package or extra that this needs is not installed
    ├── InferenceError (RuntimeError)           the interpreter failed on a tile
    ├── FeedError (RuntimeError)                a feed is closed, or cannot do this where it was asked to
    ├── FeedTimeout (TimeoutError)              a feed had no room, or a ticket no result, in the time given
    ├── OneProcessError (TypeError)             pickled or copied, of one process; her2edge.processes
    ├── OptionError (ValueError)                a caller's option is out of range
    ├── OutputError (OSError)                   results cannot be created where they were asked for
    │   ├── OutputWriteError                    writing began and failed: disk full, I/O error
    │   │   └── DamagedError                    a journal is no database; her2edge.results.journal.database
    │   ├── NotOursError                        it is another slide's or user's, or a link
    │   └── TakenError                          another her2edge is at work there
    ├── AnnotationError (ValueError)            annotations that cannot be used
    ├── CarryError (ValueError)                 a place has no counterpart; her2edge_training.register.errors
    ├── RegistrationError (ValueError)          two slides do not match; her2edge_training.register.errors
    ├── AgreeError (ValueError)                 no kit can be made of these results; her2edge.agree.errors
    ├── ResultsError (ValueError)               results that are unfinished, damaged, or of another slide
    ├── CohortError (ValueError)                a list of slides that cannot be used; her2edge.cohort
    └── KeyFileError (ValueError)               an unusable key file; her2edge_quantize.model_file.keys

Where a module is named, the class is there; all others are here. A message says what was found, what was
expected and what to do, in one line. Each error is also the builtin it is: a host program may catch either.
"""

from her2edge.text import one_line

__all__ = [
    "AnnotationError",
    "FeedError",
    "FeedTimeout",
    "Her2EdgeError",
    "InferenceError",
    "MissingInputError",
    "ModelError",
    "NotOursError",
    "OptionError",
    "OutputError",
    "OutputWriteError",
    "ResultsError",
    "RuntimeUnavailable",
    "SlideError",
    "SlideReadError",
    "StainError",
    "TakenError",
    "TileError",
]


class Her2EdgeError(Exception):
    """Root of all errors that her2edge raises on purpose."""

    def __str__(self) -> str:
        """One line, whatever a damaged file put into it."""
        return one_line(super().__str__())


class TileError(Her2EdgeError, ValueError):
    """A tile's pixels or frame do not fit."""


class StainError(Her2EdgeError, ValueError):
    """A stain target or stain fit is unusable."""


class SlideError(Her2EdgeError, ValueError):
    """A slide is readable but cannot be used as asked."""


class SlideReadError(Her2EdgeError, OSError):
    """A slide, image or region cannot be decoded."""


class MissingInputError(Her2EdgeError, FileNotFoundError):
    """An input file or folder is not there, or holds nothing."""


class ModelError(Her2EdgeError, ValueError):
    """A model file is damaged, foreign, contradicts its manifest, or is not trusted here."""


class RuntimeUnavailable(Her2EdgeError, ImportError):  # noqa: N818 - says what it is
    """A package or extra that this needs is not installed, or cannot be used here."""


class InferenceError(Her2EdgeError, RuntimeError):
    """The interpreter failed while it ran a tile."""


class FeedError(Her2EdgeError, RuntimeError):
    """A feed is closed, or was asked for what it cannot do here: a second consumer, say."""


class FeedTimeout(Her2EdgeError, TimeoutError):  # noqa: N818 - as the builtin it is
    """A feed had no room for a tile, or a ticket no result, in the time given."""


class OptionError(Her2EdgeError, ValueError):
    """A caller's option is out of range."""


class OutputError(Her2EdgeError, OSError):
    """Results cannot be written where they were asked for."""


class OutputWriteError(OutputError):
    """Writing began and failed: the disk is full or broken. Nothing half-written is left."""


class NotOursError(OutputError):
    """Where the output would go lies something of another's, or a link: it is left alone."""


class TakenError(OutputError):
    """Another process is at work on the output: nothing is wrong with the place."""


class ResultsError(Her2EdgeError, ValueError):
    """A results folder that is unfinished, damaged, of another version, or not the slide's that is named."""


class AnnotationError(Her2EdgeError, ValueError):
    """An annotation file that cannot be used: malformed, tangled, no polygon, unknown classes, elsewhere."""
