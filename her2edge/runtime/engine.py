"""Engine: a model that runs on this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from her2edge.errors import InferenceError
from her2edge.model.file import Model
from her2edge.processes import Birthplace, OneProcess
from her2edge.runtime.choose import Plan, RuntimeUse, open_plan, use_of
from her2edge.runtime.host import Host
from her2edge.runtime.plan import make_plan
from her2edge.runtime.protocol import Runtime
from her2edge.runtime.selftest import SelfTest, self_test
from her2edge.uninterrupted import Servant, alongside


@dataclass(frozen=True, eq=False)
class Engine(OneProcess):
    """A started model. Shared by threads: tiles wait in line for an interpreter. Of one process.

    plan, use: how it runs here, and the part of it that results depend on.
    runtime: its interpreters. ahead: tiles that are prepared while others are in the network.
    readers: tiles of a slide that are read at the same time.
    tested: what the self-test found, None where it was left out.
    turn: let in as many callers at a time as there are interpreters. Not for the main thread, where an
        interrupt would lose it: `servant` makes that thread's calls. process: where it was started.
    """

    plan: Plan
    use: RuntimeUse
    runtime: Runtime
    ahead: int = 1
    tested: SelfTest | None = None
    readers: int = 1
    servant: Servant = field(default_factory=lambda: _servant(), repr=False)
    turn: threading.Semaphore = field(init=False, repr=False)
    process: Birthplace = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "turn", threading.Semaphore(self.plan.interpreters))
        object.__setattr__(self, "process", Birthplace("classifier", InferenceError))

    @classmethod
    def start(
        cls,
        model: Model,
        runtime: str,
        threads: int | None = None,
        interpreters: int | None = None,
        *,
        test: bool = True,
        host: Host | None = None,
        readers: int | None = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Engine:
        """Start a model as `make_plan` plans it, and test it; host: the machine, None: this one as it is.
        readers: None: what suits the machine. meanwhile: made in another thread until the model is started
        and tested, and not needed: what it raises is lost.

        Raises what `make_plan`, `open_plan` and `self_test` raise.
        """
        host, servant = host or Host(), _servant()

        def started() -> Engine:
            with alongside(meanwhile):
                plan = make_plan(model, runtime, threads, interpreters, host)
                use, running = use_of(plan, host.runtimes), open_plan(plan, model, host.runtimes)
                tested = self_test(running, model, use) if test else None
            return cls(plan, use, running, plan.ahead(host.cores), tested, readers or host.readers, servant)

        return servant.call(started)


def _servant() -> Servant:
    servant = Servant("her2edge-classifier")
    servant.start()
    return servant
