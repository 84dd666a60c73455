"""What several test files share and takes seconds to make."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a shell's background; children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def tile_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of tests/support/training_data.py's cohort; not to be changed."""
    from training_data import write_cohort

    return write_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture
def fresh_session() -> Iterator[None]:
    """Keras forgets a test's networks after it."""
    yield
    from her2edge_training.network.backend import keras

    keras.backend.clear_session()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(run folder, tile list) of tests/support/made_run.py; tests copy it before they change it."""
    import made_run
    import make_tiny_model

    return made_run.make_run(tmp_path_factory.mktemp("made"), make_tiny_model.build())


@pytest.fixture(scope="session")
def converted(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The int8 model of `made`, 8 calibration tiles per class, its report beside it; not to be changed."""
    import made_run

    out = tmp_path_factory.mktemp("converted") / "m.tflite"
    made_run.convert(made, out, "int8", per_class=8)
    return out
