"""Stub until h/f."""

from collections import Counter
from collections.abc import Iterable
import numpy as np
from her2edge.answer.answer import *
from her2edge.answer.answer import Settled, Share, Reason, TileCounts
from her2edge.errors import OptionError
from her2edge.model.file import Model
from her2edge.quality import Code, KEEPS_OUT
from her2edge.tile import Background, Outcome, TileResult


def answer_slide(
    results: Iterable[TileResult], model: Model, *, min_tissue_tiles: int = 10, settled: Settled | None = None
) -> SlideAnswer:
    if min_tissue_tiles < 1:
        raise OptionError(f"found min_tissue_tiles={min_tissue_tiles}, expected 1 or more")
    labels = model.manifest.labels
    outcomes: Counter = Counter()
    kinds: Counter = Counter()
    out: Counter = Counter()
    codes: Counter = Counter()
    classes: Counter = Counter()
    total = np.zeros(len(labels))
    pooled = 0
    for r in results:
        outcomes[r.outcome] += 1
        if r.background is not None:
            kinds[r.background] += 1
        if r.outcome == "classified":
            for c in r.quality:
                codes[c] += 1
            if r.pooled:
                pooled += 1
                total += r.probabilities
                classes[r.label] += 1
            else:
                out[
                    next(
                        (c for c in r.quality if c in KEEPS_OUT),
                        "novel" if (r.novelty or 0) > 1 else "no_stain",
                    )
                ] += 1
    few = pooled < min_tissue_tiles
    reasons = [Reason(ReasonCode.UNCALIBRATED, "nothing is known of the error")]
    if few:
        reasons.insert(
            0,
            Reason(
                ReasonCode.TOO_LITTLE_TISSUE,
                f"found {pooled} tissue tiles, expected at least {min_tissue_tiles}",
            ),
        )
    best = labels[int(np.argmax(total))]
    counts = TileCounts(
        outcomes.total(),
        {o.value: outcomes[o] for o in Outcome},
        0,
        {k.value: kinds[k] for k in Background},
        pooled,
        {c: n for c, n in out.items()},
        {c.value: codes[c] for c in Code},
    )
    return SlideAnswer(
        Status.NOT_ASSESSABLE if few else Status.ANSWERED,
        () if few else (best,),
        tuple(reasons),
        {l: float(p) / max(1, pooled) for l, p in zip(labels, total)},
        {l: Share(classes[l] / max(1, pooled)) for l in labels},
        None,
        counts,
        None,
        None,
        False,
        settled,
        None,
        max(labels, key=lambda l: classes[l]) if pooled else None,
        min_tissue_tiles,
    )
