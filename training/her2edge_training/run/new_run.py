"""RUN as a training writes it, file by file; each has one writer here. Needs no Keras."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from numpy.typing import NDArray

from her2edge.alone import LOCK, alone_in
from her2edge.errors import OutputError
from her2edge.files import check_folder, forget, json_bytes, refuse_link, whole, write_bytes
from her2edge_training.cohort.screen import Unreadable
from her2edge_training.cohort.store import Checked
from her2edge_training.recipe import Recipe, dump_recipe
from her2edge_training.run import arrays, codecs
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.predictions import PartLogits, predictions_bytes
from her2edge_training.run.records import Environment, Epoch, Metrics, Progress, SplitRow

_MARK, _MARKED = ".her2edge-run", b"a training run of her2edge\n"


def _without_link(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


class NewRun(RunFolder):
    """A run folder to write to; it need not be there before `begin`. All methods raise OutputError."""

    def refuse_other(self) -> None:
        """Raise OutputError where the folder holds anything but a run that has not ended, or cannot be made.

        Nothing is made. Needs no Keras: it is asked before that is imported.
        """
        check_folder(self.path)
        taken = self._taken() if os.path.exists(self.path) else []  # noqa: PTH110 - Path's raises for a name too long
        if taken and _MARK not in taken:
            raise OutputError(
                f"{self.name}: the run folder is not empty (it holds {taken[0]}): a run never overwrites "
                "another; choose a new --out or remove the old run"
            )
        if "metrics.json" in taken:
            raise OutputError(
                f"{self.name}: found a finished run, expected a new folder: choose another --out"
            )

    def alone(self) -> AbstractContextManager[None]:
        """To be held from the first look at the folder to the last file; raises TakenError."""
        return alone_in(self.path)

    def begin(
        self,
        recipe: Recipe,
        environment: Environment,
        split: Sequence[SplitRow],
        unreadable: Sequence[Unreadable],
        checked: Sequence[Checked],
    ) -> bool:
        """Make the folder and write what is done in it; False.

        Where it holds a run that began with the same and has not ended, only checked.csv is written; True.
        Raises OutputError where it holds anything else, or cannot be made.
        """
        self._make()
        self.refuse_other()
        refuse_link(self.tensorboard)
        files = {
            "recipe.json": dump_recipe(recipe),
            "environment.json": json_bytes(environment),
            "split.csv": codecs.table_bytes(SplitRow, split),
            "unreadable.csv": codecs.table_bytes(Unreadable, unreadable),
        }
        goes_on = set(files) <= set(self._taken())
        if goes_on:
            self._refuse_another(files, environment)
        else:
            write_bytes(self.path / _MARK, _MARKED)
            for name, data in files.items():
                write_bytes(self.path / name, data)
        write_bytes(self.path / "checked.csv", codecs.table_bytes(Checked, checked))
        return goes_on

    def keep_taught(self, key: str, rows: NDArray[Any]) -> None:
        """taught-<key>.npy, which comes before all other files and makes the folder."""
        self._make()
        write_bytes(self.path / _MARK, _MARKED)
        arrays.write_taught(self.path / f"taught-{key}.npy", rows)

    def append_log(self, epoch: Epoch) -> None:
        """Append a row to log.csv, with its heading where the file is new, and sync it."""
        path = self.path / "log.csv"
        data = codecs.table_bytes(Epoch, [epoch])
        try:
            if path.exists():
                data = data.partition(b"\n")[2]
            with open(path, "ab", opener=_without_link) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error}") from error

    def cut_log(self, epochs: int) -> None:
        """Leave the rows of the first `epochs` epochs: one written just before a crash comes again."""
        if epochs == 0:
            forget(self.path, "log.csv")  # what a crash left of it may lack the heading
        elif self.holds("log.csv"):
            data = self._read("log.csv", lambda data: codecs.log_lines(data, epochs))
            write_bytes(self.path / "log.csv", data)

    def write_best_weights(self, save: Callable[[str], None]) -> None:
        """best.weights.h5, whole or not at all; `save` writes it to the path it is given."""
        with whole(self.best_weights) as temporary:
            save(str(temporary))

    def write_network(self, save: Callable[[str], None]) -> None:
        """model.keras, as `write_best_weights`."""
        with whole(self.network) as temporary:
            save(str(temporary))

    def write_checkpoint(self, values: Sequence[NDArray[Any]], progress: Progress) -> None:
        """checkpoint.npz; the former one stays where this fails."""
        arrays.write_checkpoint(self.path / "checkpoint.npz", values, progress)

    def write_predictions(self, parts: Iterable[PartLogits], labels: Sequence[str]) -> None:
        """predictions.csv."""
        write_bytes(self.path / "predictions.csv", predictions_bytes(parts, labels))

    def write_features(self, features: NDArray[Any]) -> None:
        """features.npz: (n, channels), pooled, of the test part's tiles in their order."""
        arrays.write_features(self.path / "features.npz", features)

    def end(self, metrics: Metrics) -> None:
        """Write metrics.json, the last file; a finished run needs neither checkpoint nor checked.csv."""
        write_bytes(self.path / "metrics.json", json_bytes(metrics))
        for name in ("checkpoint.npz", "checked.csv"):
            (self.path / name).unlink(missing_ok=True)

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._not_made(error) from error

    def _taken(self) -> list[str]:
        try:
            return sorted(item.name for item in self.path.iterdir() if item.name != LOCK)
        except OSError as error:
            raise self._not_made(error) from error

    def _not_made(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.name}: the run folder cannot be made ({error.strerror}); choose another --out"
        )

    def _refuse_another(self, files: Mapping[str, bytes], environment: Environment) -> None:
        for name, data in files.items():
            if (self.path / name).read_bytes() == data:
                continue
            if name == "environment.json" and self.environment().essence() == environment.essence():
                continue
            raise OutputError(
                f"{self.name}: found an unfinished run with another {name}, expected the same recipe, tiles "
                "and start: run its command again to resume, or choose a new --out"
            )
