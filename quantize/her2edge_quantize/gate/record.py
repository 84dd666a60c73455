"""What was measured of one conversion, as the gate's report holds it."""

from __future__ import annotations

from dataclasses import dataclass

from her2edge.model.slide_records import DistilledFrom
from her2edge_quantize.gate.measure import Measured
from her2edge_quantize.gate.noise import Layer


@dataclass(frozen=True)
class GateReport:
    """Every figure of a report.

    learnt: what the weights went through after training, or "". manifest_sha256: of the run's tile list.
    model_sha256: of the file as it was, or would have been, written. tiles_added: held-out tiles that are not
    of the run's own cohort. distilled_from: a student's teacher, and the two figures beside it.
    with_float_layers: the same with its named layers in float, where that was tried.
    """

    name: str
    recipe: str
    manifest_sha256: str
    export: str
    learnt: str
    demo: bool
    model_sha256: str
    float32_bytes: int
    tiles_added: int
    model: Measured
    with_float_layers: Measured | None
    layers: tuple[Layer, ...]
    distilled_from: DistilledFrom | None = None
    labels: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """ "passed", "refused", or "refused, loss accepted"."""
        verdict = self.model.verdict
        if not verdict.reasons:
            return "passed"
        return "refused, loss accepted" if verdict.accepted_loss else "refused"
