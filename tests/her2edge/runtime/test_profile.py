"""Profiles and plans: what was measured on this machine counts, anything else is left aside."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import tiny
from engines import on
from hypothesis import given
from hypothesis import strategies as st

from her2edge import Model, Options
from her2edge.errors import OptionError, OutputWriteError
from her2edge.runtime import RUNTIMES, Host, Plan, make_plan, runtime_versions
from her2edge.runtime.choose import Kind
from her2edge.runtime.litert import LiteRTRuntime
from her2edge.runtime.machine import this_machine
from her2edge.runtime.profile import Profile, Setting, find_profile, profile_path, write_profile
from her2edge.runtime.tune import _placements, tune

MODEL = Model.load(tiny.INT8)


@pytest.fixture
def host(tmp_path):
    """A machine of eight cores with a state folder of its own for each test."""
    return Host(cores=8, state=tmp_path / "state")


def profile(*measured, **changes):
    made = Profile(1, MODEL.sha256, this_machine(), runtime_versions(), tuple(measured))
    return msgspec.structs.replace(made, **changes)


LITERT = Setting("litert", 2, 3, "f32", 10.0)
FASTER = Setting("openvino", 4, 1, "bf16", 20.0)


def keep(measured, host):
    write_profile(measured, profile_path(MODEL, host))


def test_by_default_a_profile_sets_threads_and_interpreters_and_no_other_runtime(host):
    assert make_plan(MODEL, "litert", host=host) == Plan("litert", 4, 1)
    keep(profile(LITERT, FASTER), host)
    assert make_plan(MODEL, "litert", host=host) == Plan("litert", 2, 3)
    assert on(host, MODEL).plan == Plan("litert", 2, 3)
    assert make_plan(MODEL, "tuned", host=host) == Plan("openvino", 4, 1, "bf16")


def test_a_runtime_by_name_gets_its_own_threads_in_full_precision(host):
    keep(profile(LITERT, FASTER), host)
    a_guess = Plan("openvino", 4, 1, "f32")  # only bf16 was measured
    assert make_plan(MODEL, "openvino", host=host) == a_guess
    keep(profile(LITERT, FASTER, Setting("openvino", 1, 2, "f32", 5.0)), host)
    assert make_plan(MODEL, "openvino", host=host) == Plan("openvino", 1, 2, "f32")


def test_what_the_caller_says_is_not_mixed_with_what_was_measured(host):
    keep(profile(LITERT, FASTER), host)
    assert make_plan(MODEL, "litert", threads=1, host=host) == Plan("litert", 1, 1)
    assert make_plan(MODEL, "litert", interpreters=2, host=host) == Plan("litert", 4, 2)
    assert make_plan(MODEL, "tuned", threads=2, host=host) == Plan("openvino", 2, 1, "bf16")


def test_tuned_without_a_profile_says_how_to_make_one(host):
    with pytest.raises(OptionError, match="doctor --tune"):
        on(host, MODEL, Options(runtime="tuned"))
    keep(profile(msgspec.structs.replace(FASTER, tiles_per_second=None, refused="disagrees")), host)
    with pytest.raises(OptionError, match="doctor --tune"):
        make_plan(MODEL, "tuned", host=host)


def test_the_fastest_wins_but_not_for_three_per_cent():
    slow, fast = Setting("litert", 1, 1, "f32", 5.0), Setting("litert", 1, 4, "f32", 10.0)
    nearly = Setting("litert", 4, 1, "f32", 9.8)
    assert profile(slow, fast, nearly).best() == nearly
    assert profile(slow, fast).best() == fast
    assert profile(msgspec.structs.replace(fast, tiles_per_second=None, refused="x"), slow).best() == slow
    assert profile().best() is None


OTHER = this_machine()
STRANGE = {
    "another machine": lambda: profile(LITERT, machine=msgspec.structs.replace(OTHER, processor="another")),
    "fewer cores": lambda: profile(LITERT, machine=msgspec.structs.replace(OTHER, cores=OTHER.cores + 1)),
    "another model": lambda: profile(LITERT, model="0" * 64),
    "another wheel": lambda: profile(LITERT, versions=runtime_versions() | {"ai-edge-litert": "1.0"}),
    "one wheel more": lambda: profile(LITERT, versions=runtime_versions() | {"new": "1.0"}),
}


@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE.keys())
def test_a_profile_measured_on_something_else_is_left_aside_with_a_warning(make, caplog, host):
    keep(make(), host)
    with caplog.at_level(logging.WARNING, "her2edge"):
        assert make_plan(MODEL, "litert", host=host) == Plan("litert", 4, 1)
    assert "doctor --tune" in caplog.text


def edited(**changes):
    record = json.loads(msgspec.json.encode(profile(LITERT)))
    record["measured"][0] |= changes
    return json.dumps(record).encode()


MALFORMED = {
    "empty": b"",
    "no JSON": b"{",
    "no Unicode": b'{"model": "\xff"}',
    "a list": b"[]",
    "newer": msgspec.json.encode(profile(LITERT)).replace(b'"schema_version":1', b'"schema_version":2'),
    "no threads": edited(threads=0),
    "a million threads": edited(threads=1_000_000),
    "threads as text": edited(threads="2"),
    "a negative rate": edited(tiles_per_second=-1),
    "unknown field": edited(surprise=1),
    "half": msgspec.json.encode(profile(LITERT))[:100],
    "huge": b" " * (1 << 21),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_profile_is_left_aside_with_a_warning(data, caplog, host):
    keep(profile(LITERT), host)
    profile_path(MODEL, host).write_bytes(data)
    with caplog.at_level(logging.WARNING, "her2edge"):
        assert on(host, MODEL).plan == Plan("litert", 4, 1)
    (record,) = caplog.records
    assert "doctor --tune" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_folder_in_the_profiles_place_is_left_aside(caplog, host):
    profile_path(MODEL, host).mkdir(parents=True)
    assert find_profile(MODEL, host) is None
    assert "doctor --tune" in caplog.text


def test_a_profile_with_more_threads_than_cores_is_cut_to_them(host):
    keep(profile(LITERT), host)
    plan = make_plan(MODEL, "litert", host=replace(host, cores=2))
    assert plan.threads * plan.interpreters <= 2


def test_a_profile_is_written_whole_or_not_at_all(host, monkeypatch):
    keep(profile(LITERT), host)
    before = profile_path(MODEL, host).read_bytes()

    def full(_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputWriteError):
        keep(profile(LITERT, FASTER), host)
    assert profile_path(MODEL, host).read_bytes() == before
    assert len(list(profile_path(MODEL, host).parent.iterdir())) == 1


@given(cores=st.integers(1, 130), asked=st.tuples(*[st.none() | st.integers(1, 200)] * 2))
def test_no_plan_has_more_threads_than_cores_nor_none(cores, asked):
    plan = make_plan(MODEL, "litert", *asked, Host(cores=cores, state=Path("no profiles here")))
    assert 1 <= plan.threads * plan.interpreters <= cores
    threads, interpreters = asked
    if (threads or 1) * (interpreters or 1) <= cores:
        assert plan.threads == threads or threads is None
        assert plan.interpreters == (interpreters or 1)


@given(st.integers(1, 200))
def test_every_placement_fits_and_one_uses_all_cores(cores):
    placements = list(_placements(cores))
    assert all(interpreters * threads <= cores for interpreters, threads in placements)
    assert {(1, 1), (1, cores), (cores, 1)} <= set(placements)


def only(host, name, kind=None, **changes):
    """The host with one runtime; kind: None: the real one."""
    return replace(host, runtimes={name: kind or RUNTIMES[name]}, **changes)


def test_tuning_measures_every_setting_of_every_runtime_and_reports_each(host):
    host, seen = only(host, "litert", cores=2), []
    measured = tune(MODEL, seen.append, host, seconds=0.01)
    assert measured.measured == tuple(seen)
    assert [(s.interpreters, s.threads) for s in seen] == [(1, 1), (1, 2), (2, 1)]
    assert all(setting.tiles_per_second > 0 for setting in seen)
    keep(measured, host)
    assert find_profile(MODEL, host) == measured


@pytest.mark.parametrize(("load", "busy"), [(0.2, False), (9.0, True)])
def test_tuning_on_a_busy_machine_says_so(host, caplog, load, busy):
    tune(MODEL, lambda _: None, only(host, "litert", cores=1, load=load), seconds=0.01)
    assert ("busy" in caplog.text) is busy


def test_tuning_refuses_what_disagrees_with_the_golden_tiles(host):
    """A runtime that turns logits round, one precision of which is right."""

    class Turned(LiteRTRuntime):
        title = "Turned"

        def __init__(self, model, threads, precision="f32"):
            super().__init__(model, threads)
            self.precision = precision

        def logits(self, pixels):
            return super().logits(pixels)[:: -1 if self.precision == "bf16" else 1]

    kind = Kind("ai-edge-litert", Turned, lambda: ("f32", "bf16"))
    measured = tune(MODEL, lambda _: None, only(host, "openvino", kind, cores=2), seconds=0.01)
    assert [s.refused is None for s in measured.measured if s.precision == "f32"] == [True] * 3
    (refused,) = (s for s in measured.measured if s.precision == "bf16")
    assert "Turned" in refused.refused
    assert "golden tiles" in refused.refused
    assert measured.best().precision == "f32"
