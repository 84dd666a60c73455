"""What a conversion starts from: the run, its network, its tiles, and the tiles the model is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2edge.errors import ModelError
from her2edge_quantize.convert.converter import require_tensorflow
from her2edge_quantize.convert.edge import check_stem
from her2edge_quantize.convert.network import check_network
from her2edge_quantize.gate.gate_data import ReadTiles, read_gate_data
from her2edge_quantize.gate.held_out import HeldOut, held_out_tiles
from her2edge_quantize.gate.school import refuse_pupils, teacher_of
from her2edge_quantize.options import QuantizeOptions, Report
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.run.teacher import Teacher
from her2edge_training.run.trained import TrainedRun
from her2edge_training.synthetic import SITES


@dataclass(frozen=True, eq=False)
class Source:
    """network: the trained keras.Model; tiles: the list it was trained with.

    held: the tiles that the model is held against float32 on. name: of the model; demo: it knows synthetic
    tissue only, or its teacher does. teacher: of a student.
    """

    run: TrainedRun
    network: Any
    tiles: TileList
    held: HeldOut
    name: str
    demo: bool
    teacher: Teacher | None = None


def read_source(
    folder: Path, tile_list: Path, options: QuantizeOptions, report: Report, read: ReadTiles
) -> Source:
    """Read a run and its tile list, each once; raises before anything is computed.

    MissingInputError, ModelError, OptionError, RuntimeUnavailable, TileListError, and what `read_gate_data`
    raises.
    """
    run = TrainedRun.read(folder)
    teacher = teacher_of(run, options.teacher)
    require_tensorflow()
    tiles = read(tile_list, run.list_labels)
    more = read_gate_data(options.gate_data, run.recipe, options.limits.tiles, report, read)
    unsure = read_gate_data(
        options.unsure_data, run.recipe, options.student_limits.unsure_tiles, report, read
    )
    held = held_out_tiles(run, tiles, more, unsure)
    if teacher is not None:
        refuse_pupils((*more, *unsure), teacher)
    learnt_from = {record.site for record in run.select(tiles, "train")}
    synthetic = learnt_from & {site.name for site in SITES}
    network = _network(run)
    check_stem(options.export, network)
    name = options.name or f"{run.recipe.name}-{options.scheme}"
    demo = options.demo or bool(synthetic) or (teacher is not None and teacher.demo)
    return Source(run, network, tiles, held, name, demo, teacher)


def _network(run: TrainedRun) -> Any:
    """The trained network, read in Keras' safe mode; raises ModelError where it is not the recipe's."""
    from her2edge_training.network.networks import load_trained

    network = load_trained(run.network)
    tile_px = check_network(network)
    if tile_px != run.recipe.tile_px:
        raise ModelError(
            f"found a network for {tile_px} px tiles, expected {run.recipe.tile_px} as in the recipe"
        )
    return network
