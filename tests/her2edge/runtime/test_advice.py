"""What is said of a faster runtime: one line where there is something to gain, and none elsewhere."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
import tiny

from her2edge import Model
from her2edge.runtime import RUNTIMES, Host, Plan, runtime_versions
from her2edge.runtime.advice import runtime_advice
from her2edge.runtime.choose import Kind
from her2edge.runtime.machine import this_machine
from her2edge.runtime.profile import Profile, Setting, profile_path, write_profile

MODEL = Model.load(tiny.INT8)
LITERT = Plan("litert", 1, 2)
ABSENT = "her2edge-has-no-such-package"
HERE = "ai-edge-litert"  # is installed wherever tests run


def host_with(folder, *names):
    """A machine with a state folder of its own, on which these runtimes are installed and no others."""
    kinds = {n: replace(kind, package=HERE if n in names else ABSENT) for n, kind in RUNTIMES.items()}
    return Host(cores=2, state=folder / "state", runtimes=kinds)


@pytest.fixture
def host(tmp_path):
    return host_with(tmp_path, "litert", "openvino")


def keep(host, *measured, **changes):
    made = Profile(1, MODEL.sha256, this_machine(), runtime_versions(host.runtimes), measured)
    write_profile(msgspec.structs.replace(made, **changes), profile_path(MODEL, host))


def rates(litert, openvino, precision="f32"):
    return (
        Setting("litert", 2, 1, "f32", litert / 2),
        Setting("litert", 1, 2, "f32", litert),
        Setting("openvino", 1, 2, precision, openvino),
    )


def advice(host, plan=LITERT, looked=True):
    return runtime_advice(MODEL, plan, host, looked=looked)


def test_a_runtime_that_was_never_measured_here_is_named_with_what_to_do(host):
    line = advice(host)
    assert line.startswith("openvino is installed and was never measured")
    assert "`her2edge doctor --tune`" in line
    assert "\n" not in line


def test_of_several_runtimes_all_are_named_but_not_the_one_in_use(tmp_path):
    host = host_with(tmp_path, *RUNTIMES)
    assert advice(host).startswith("openvino and tflite-runtime are installed and were never measured")
    assert advice(host, Plan("openvino", 2)).startswith("litert and tflite-runtime are")


def test_where_nothing_else_is_installed_there_is_nothing_to_say(tmp_path):
    assert advice(host_with(tmp_path, "litert")) is None
    assert advice(host_with(tmp_path)) is None, "a classifier that was started before its wheel went"


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_one_that_was_measured_more_than_1_2_times_as_fast_is_named_with_the_figure(host, precision):
    keep(host, *rates(10, 14.3, precision))
    line = advice(host)
    name = "openvino" if precision == "f32" else "openvino in bf16"
    assert line.startswith(f"{name}, 2 x 1 thread was measured 1.43 times as fast on this machine as litert")
    assert "--runtime tuned" in line
    assert "\n" not in line


@pytest.mark.parametrize("faster", [5.0, 10.0, 12.0])
def test_up_to_1_2_times_nothing_is_said(host, faster):
    keep(host, *rates(10, faster))
    assert advice(host) is None


def test_the_best_of_each_runtime_is_compared_whatever_threads_this_run_has(host):
    """One thread is slower than two of the same runtime: that is no reason for another."""
    keep(host, *rates(10, 11))
    assert advice(host, Plan("litert", 2, 1)) is None


def test_whoever_uses_the_fastest_is_told_nothing(host):
    keep(host, *rates(10, 20))
    assert advice(host, Plan("openvino", 1, 2)) is None
    keep(host, *rates(10, 20, "bf16"))
    assert advice(host, Plan("openvino", 1, 2, "bf16")) is None


def test_a_runtime_that_was_refused_is_never_advised(host):
    keep(host, rates(10, 1)[1], Setting("openvino", 1, 1, "f32", refused="disagrees"))
    assert advice(host) is None


USELESS = {
    "another machine": {"machine": msgspec.structs.replace(this_machine(), processor="another")},
    "other wheels": {"versions": {"openvino": "1.0"}},
    "another model": {"model": "0" * 64},
}


@pytest.mark.parametrize("changes", USELESS.values(), ids=USELESS.keys())
@pytest.mark.parametrize("looked", [True, False])
def test_a_profile_of_something_else_counts_as_none_and_is_told_of_once(host, changes, looked):
    keep(host, *rates(10, 20), **changes)
    line = advice(host, looked=looked)
    assert line is None if looked else "never measured" in line  # looked: `find_profile` has warned of it


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"schema_version": 2}'])
@pytest.mark.parametrize("looked", [True, False])
def test_so_does_a_damaged_one(host, data, looked):
    keep(host)
    profile_path(MODEL, host).write_bytes(data)
    line = advice(host, looked=looked)
    assert line is None if looked else "never measured" in line


def test_no_runtime_is_imported_for_it(host):
    """Only versions of packages are looked up: the adapters here could not even be called."""
    kinds = {name: Kind(HERE, None, None) for name in ("litert", "openvino")}
    assert "never measured" in advice(replace(host, runtimes=kinds))
