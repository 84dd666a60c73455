"""Everything her2edge raises on purpose.

    Her2EdgeError
    ├── TileError           (ValueError)         a tile's array or frame is not what the model needs
    ├── StainError          (ValueError)         a stain target or fit is unusable
    ├── SlideError          (ValueError)         a slide that can be read but not used (scale, format)
    ├── SlideReadError      (OSError)            a slide, image or region that cannot be decoded
    ├── MissingInputError   (FileNotFoundError)  the file or folder is not there, or is empty
    ├── ModelError          (ValueError)         a model file that is damaged, foreign, or not trusted here
    ├── RuntimeUnavailable  (ImportError)        no interpreter installed for the runtime asked for
    ├── InferenceError      (RuntimeError)       the interpreter failed on a tile
    ├── FeedError           (RuntimeError)       a feed is closed, or cannot do this where it was asked to
    ├── FeedTimeout         (TimeoutError)       a feed had no room, or a ticket no result, in the time given
    ├── OptionError         (ValueError)         a caller's option is out of range
    └── OutputError         (OSError)            results cannot be created where they were asked for
        └── OutputWriteError                     writing began and failed: disk full, I/O error

A message says what was found, what was expected and what to do. Each error is also the builtin it
is, so a host program may catch either.
"""

from her2edge.text import one_line


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
    """The interpreter of the runtime asked for is not installed."""


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
