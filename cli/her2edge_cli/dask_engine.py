"""Slides of a cohort on Dask (extra `cluster`), which hands them out; the record is the results folder.

Dask pickles what it sends, so who may connect may run code: local processes speak TLS, by a key of this run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from her2edge.cohort import CohortSlide
from her2edge.errors import RuntimeUnavailable
from her2edge.extras import needs_extra
from her2edge.shards import Engine, Outcome
from her2edge_cli.slide_job import Do, Plain, do, pack, unpack

QUEUES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}
_LONG = "10 minutes"  # a worker that loads a model on a busy machine is not dead
_WAITS = ("scheduler.worker-ttl", "comm.timeouts.tcp", "deploy.lost-worker-timeout")
_PAGES = ("scheduler.http.routes", "worker.http.routes")  # none, and no figures for others


@contextmanager
def dask_engine(setup: Plain, scheduler: str | None, workers: int, does: Do = do) -> Iterator[Engine]:
    """An engine while the block lasts. scheduler: an address, one of QUEUES, or None: `workers` processes.

    setup: what each worker does. Raises RuntimeUnavailable without the extra, or where no scheduler is.
    """
    with needs_extra("cluster", "use --engine local"):
        import dask.config as dask_config
        import distributed
    settings: Plain = dict.fromkeys(_WAITS, _LONG) | {page: [] for page in _PAGES}
    settings |= {"scheduler.allowed-failures": setup["retries"] + 2, "worker.profile.enabled": False}
    settings["scheduler.no-workers-timeout"] = None if scheduler else _LONG
    with dask_config.set({f"distributed.{k}": v for k, v in settings.items()}), ExitStack() as opened:
        try:
            cluster = None if scheduler and scheduler not in QUEUES else _cluster(scheduler, workers)
            address = scheduler if cluster is None else opened.enter_context(cluster)
            client = opened.enter_context(distributed.Client(address, timeout=10, set_as_default=False))
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            why = f"found no Dask scheduler at {scheduler or 'this machine'} ({error})"
            raise RuntimeUnavailable(f"{why}, expected one: start it, or leave --scheduler out") from error
        yield partial(_outcomes, client, partial(_on_worker, does, setup))


def _cluster(queue: str | None, workers: int) -> Any:
    if queue is None:
        from distributed import LocalCluster, Security

        here: Plain = {"host": "127.0.0.1", "protocol": "tls://", "dashboard_address": None}
        size: Plain = {"n_workers": workers, "threads_per_worker": 1, "memory_limit": 0, "silence_logs": 50}
        return LocalCluster(**here, **size, security=Security.temporary())
    import dask_jobqueue  # a site's jobqueue.yaml describes its jobs

    cluster = getattr(dask_jobqueue, QUEUES[queue])()
    cluster.scale(jobs=workers)
    return cluster


def _on_worker(does: Do, setup: Plain, job: Plain) -> Plain:
    from distributed import get_worker

    return does(setup, job, get_worker().state.nthreads)


def _outcomes(client: Any, work: Any, slides: list[CohortSlide]) -> Iterator[Outcome]:
    from distributed import KilledWorker, as_completed

    futures = dict(zip(client.map(work, list(map(pack, slides)), pure=False), slides, strict=True))
    for future in as_completed(list(futures), loop=client.loop):  # who stops early closes the client
        slide = futures.pop(future)
        try:
            yield unpack(future.result(), Outcome)
        except KilledWorker:
            yield Outcome(slide, reason=f"{slide.name}: its worker died each time: run it again", exit_code=1)
        except Exception as error:  # noqa: BLE001 - the scheduler has gone, or a worker has no such code
            why = f"the cluster has stopped ({type(error).__name__}: {error}): nothing is lost, run it again"
            yield Outcome(slide, reason=why, exit_code=1, ends=True)
