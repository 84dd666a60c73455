"""A list of slides on many machines: each slide once, whatever dies, and one table in the end.

    shard = Shard(3, 10)                       # or auto_shard(), in a Slurm array or a Kubernetes Indexed Job
    work = SlideWork(out, classify, model.sha256)
    for outcome in outcomes(partial(map, work), shard.slides(cohort)): ...
    collected = collect(out, cohort)

The record is the results folder: a slide is done where its run.json is. Whoever schedules, this process or a
cluster, only says in which order; what it forgets is found on the disk.
"""

from her2edge.shards.collect import Collected, collect
from her2edge.shards.outcome import Engine, Outcome, outcomes
from her2edge.shards.plan import Plan, begin_plan, planned_slides
from her2edge.shards.shard import SHARDS, Shard, auto_shard, read_shard
from her2edge.shards.work import SlideWork

__all__ = [
    "SHARDS",
    "Collected",
    "Engine",
    "Outcome",
    "Plan",
    "Shard",
    "SlideWork",
    "auto_shard",
    "begin_plan",
    "collect",
    "outcomes",
    "planned_slides",
    "read_shard",
]
