"""highdicom and pydicom: imported when used, and kept from saying what stands in a patient's file."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from her2edge.errors import SlideError
from her2edge.extras import needs_extra
from her2edge.files import foreign

_LOGGERS = ("highdicom", "pydicom")
_lock = threading.Lock()  # warnings and loggers are the process's


class Packages(NamedTuple):
    """The modules."""

    highdicom: Any
    pydicom: Any


def packages() -> Packages:
    """Raises RuntimeUnavailable without the extra `dicom`."""
    with needs_extra("dicom"):
        import highdicom
        import highdicom.ann
        import highdicom.coding_schemes
        import highdicom.sr
        import pydicom
        import pydicom.filereader
    return Packages(highdicom, pydicom)


class _ForeignError(SlideError):
    """With a message of highdicom or pydicom, which is not passed on."""


@contextlib.contextmanager
def unquoted(name: str, what: str) -> Iterator[None]:
    """What the block raises is SlideError that quotes nothing: foreign messages, warnings and log lines hold
    values of the file, names of patients among them."""
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loggers = [logging.getLogger(package) for package in _LOGGERS]
        kept = [logger.disabled for logger in loggers]
        for logger in loggers:
            logger.disabled = True
        try:
            with foreign(name, "a slide", _ForeignError):
                yield
        except _ForeignError as error:
            raise SlideError(
                f"{name}: found values that {what} ({type(error.__cause__).__name__}), expected a slide as "
                "PS3.3 A.32.8 has it: check the file with dciodvfy, or convert the slide again"
            ) from None
        finally:
            for logger, disabled in zip(loggers, kept, strict=True):
                logger.disabled = disabled
