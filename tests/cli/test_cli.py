"""The command as a user meets it: what it writes, what it says, and with which exit code it ends."""

from __future__ import annotations

import ast
import csv
import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import tiny
from model_v2 import TINY
from shared_data import ROOT, SHARED, needs

from her2edge import Model, Options, SlideReader, TileClassifier, classify_slide
from her2edge.errors import SlideError
from her2edge_cli.main import cli, main
from her2edge_cli.parts import Parts
from her2edge_training import synthetic

CMU = SHARED / "wsi" / "cmu-1-small-region.svs"
TCGA = SHARED / "wsi" / "tcga-cr-7395-01a-01-ts1.svs"


@pytest.fixture
def slide(tmp_path):
    """A small synthetic slide as PNG."""
    model = synthetic.make_slide_model("3+", synthetic.SITES[1], 7)
    pixels = synthetic.make_slide_image(model, tiny.SIZE * 8, tiny.SIZE * 6, tiny.MPP).pixels
    path = tmp_path / "slide.png"
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


def classify(*slides, out, mpp=tiny.MPP, extra=(), by=classify_slide):
    """The exit code; by: what classifies."""
    scale = ["--mpp", str(mpp)] if mpp else []
    arguments = ["--out", str(out), "--model", str(tiny.INT8), *scale, *extra]
    return main(["classify", *map(str, slides), *arguments], Parts(classify_slide=by))


def only_folder(out):
    (folder,) = out.iterdir()
    return folder


def test_classify_writes_every_file_of_a_slide(slide, tmp_path, capsys):
    out = tmp_path / "out"
    assert classify(slide, out=out) == 0
    folder = only_folder(out)
    assert folder.name.startswith("slide.png-")
    assert sorted(path.name for path in folder.iterdir()) == [
        "heatmap.png",
        "run.json",
        "summary.json",
        "tiles.csv",
        "tiles.geojson",
    ]
    printed = capsys.readouterr()
    assert "slide.png:" in printed.out
    assert "Research use only" in printed.err
    assert "synthetic tissue only" in printed.err


def test_classify_stream_and_the_command_give_identical_numbers(slide, tmp_path):
    out = tmp_path / "out"
    assert classify(slide, out=out, extra=["--threads", "2"]) == 0
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1))
    with SlideReader(slide, mpp=tiny.MPP) as reader:
        streamed = list(classifier.stream(reader.tiles(classifier.model)))
        single = [classifier.classify(tile) for tile in reader.tiles(classifier.model)]
    with (only_folder(out) / "tiles.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(streamed) == len(single) == 48
    for row, a, b in zip(rows, streamed, single, strict=True):
        assert row["outcome"] == a.outcome == b.outcome
        if a.probabilities is not None:
            np.testing.assert_array_equal(a.probabilities, b.probabilities)
            assert [row[f"p {label}"] for label in ("0/1+", "2+", "3+")] == [
                f"{p:.6f}" for p in a.probabilities
            ]


def test_a_second_run_writes_the_same_bytes_but_for_run_json(slide, tmp_path):
    for out in ("one", "two"):
        assert classify(slide, out=tmp_path / out, extra=["--threads", "1" if out == "one" else "2"]) == 0
    one, two = only_folder(tmp_path / "one"), only_folder(tmp_path / "two")
    assert one.name == two.name
    for path in one.iterdir():
        if path.name != "run.json":
            assert path.read_bytes() == (two / path.name).read_bytes(), path.name


def test_a_folder_of_tiles_is_keyed_by_relative_paths_and_bad_tiles_are_counted(tmp_path, capsys):
    folder = tmp_path / "tiles"
    (folder / "a").mkdir(parents=True)
    for i, tile in enumerate(tiny.tissue(3)):
        cv2.imwrite(str(folder / "a" / f"{i}.png"), cv2.cvtColor(tile.pixels, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(folder / "b.png"), np.zeros((9, 9, 3), np.uint8))
    (folder / "c.jpg").write_bytes(b"not a picture")
    out = tmp_path / "out"
    assert classify(folder, out=out, mpp=None) == 3
    with (only_folder(out) / "tiles.csv").open(newline="") as file:
        rows = {row["slide"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == ["a/0.png", "a/1.png", "a/2.png", "b.png", "c.jpg"]
    assert {name for name, row in rows.items() if row["outcome"] == "failed"} == {"b.png", "c.jpg"}
    assert "9x9 px" in rows["b.png"]["error"]
    assert "2 failed" in capsys.readouterr().out


def test_a_slide_that_is_read_again_for_its_page_is_warned_of_once(slide, tmp_path, capsys):
    assert classify(slide, out=tmp_path / "out", mpp=2 * tiny.MPP, extra=["--report"]) == 0
    assert capsys.readouterr().err.count("tiles are enlarged") == 1


def test_one_bad_slide_does_not_stop_the_good_one(slide, tmp_path, capsys):
    assert classify(tmp_path / "none.svs", slide, out=tmp_path / "out") == 3
    assert "none.svs" in capsys.readouterr().err
    assert (only_folder(tmp_path / "out") / "run.json").is_file()


def refused(capsys, *arguments):
    """Exit code of a refused command, after checking that it printed one line and wrote nothing."""
    code = main([str(argument) for argument in arguments])
    before = ("Research use only", "doctor --tune")  # whichever runtimes are installed
    lines = [line for line in capsys.readouterr().err.splitlines() if not any(w in line for w in before)]
    assert len(lines) == 1, lines
    assert lines[0].startswith("her2edge: ")
    return code, lines[0]


@pytest.mark.parametrize(
    ("name", "content", "code", "word"),
    [
        ("none.svs", None, 66, "none.svs"),
        ("text.svs", b"not a slide at all", 65, "text.svs"),
        ("text.png", b"not a picture at all", 65, "text.png"),
        ("empty.svs", b"", 65, "empty.svs"),
    ],
)
def test_what_is_no_slide_is_refused_and_nothing_is_written(tmp_path, capsys, name, content, code, word):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    out = tmp_path / "out"
    exit_code, line = refused(capsys, "classify", path, "--out", out, "--model", tiny.INT8, "--mpp", tiny.MPP)
    assert exit_code == code
    assert word in line
    assert str(tmp_path) not in line
    assert not out.exists()


def test_a_picture_without_scale_is_refused_naming_mpp(slide, tmp_path, capsys):
    code, line = refused(capsys, "classify", slide, "--out", tmp_path / "out", "--model", tiny.INT8)
    assert code == 65
    assert "--mpp" in line
    assert not (tmp_path / "out").exists()


@needs("wsi/cmu-1-small-region.svs")
def test_a_truncated_svs_is_refused_or_costs_its_lost_tiles(tmp_path, capsys):
    data = CMU.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path = tmp_path / f"cut-{share}.svs"
        path.write_bytes(data[: int(len(data) * share)])
        out = tmp_path / f"out-{share}"
        code = main(["classify", str(path), "--out", str(out), "--model", str(tiny.INT8)])
        assert code in (65, 3)
        assert out.exists() is (code == 3)


def test_an_empty_folder_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    code, line = refused(
        capsys, "classify", tmp_path / "empty", "--out", tmp_path / "out", "--model", tiny.INT8
    )
    assert code == 66
    assert "empty" in line
    assert not (tmp_path / "out").exists()


def test_a_missing_model_is_refused(slide, tmp_path, capsys):
    code, line = refused(
        capsys, "classify", slide, "--out", tmp_path / "out", "--model", tmp_path / "no.tflite"
    )
    assert code == 66
    assert "no.tflite" in line


def test_a_model_with_one_flipped_byte_is_refused(slide, tmp_path, capsys):
    data = bytearray(tiny.INT8.read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "flipped.tflite"
    path.write_bytes(data)
    code, line = refused(capsys, "classify", slide, "--out", tmp_path / "out", "--model", path)
    assert code == 78
    assert "SHA-256" in line
    assert not (tmp_path / "out").exists()
    assert refused(capsys, "inspect", path)[0] == 78


def test_an_output_folder_that_cannot_be_made_is_refused_before_the_work(slide, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    code, line = refused(
        capsys,
        "classify",
        slide,
        "--out",
        tmp_path / "file" / "out",
        "--model",
        tiny.INT8,
        "--mpp",
        tiny.MPP,
    )
    assert code == 73
    assert "--out" in line


@pytest.mark.parametrize("mode", [0o000, 0o500])
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_without_permission_is_refused(slide, tmp_path, capsys, mode):
    (tmp_path / "locked").mkdir(mode=mode)
    code, _ = refused(
        capsys,
        "classify",
        slide,
        "--out",
        tmp_path / "locked",
        "--model",
        tiny.INT8,
        "--mpp",
        tiny.MPP,
    )
    assert code == 73


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
def test_a_name_that_is_no_unicode_is_shown_with_question_marks(slide, tmp_path, capsys):
    strange = os.fsencode(tmp_path) + b"/bad\xff\x1b[31m.png"
    os.rename(slide, strange)  # noqa: PTH104 - bytes, which Path does not take
    assert classify(os.fsdecode(strange), out=tmp_path / "out") == 0
    assert "bad??[31m.png:" in capsys.readouterr().out
    summary = json.loads((only_folder(tmp_path / "out") / "summary.json").read_text())
    assert summary["slide"]["name"] == "bad??[31m.png"


def test_a_slide_name_too_long_for_the_system_is_refused(tmp_path, capsys):
    path = tmp_path / ("a" * 300 + ".svs")
    code, _ = refused(capsys, "classify", path, "--out", tmp_path / "out", "--model", tiny.INT8)
    assert code == 65


def test_a_long_name_of_wide_characters_gets_a_folder(slide, tmp_path):
    path = slide.rename(tmp_path / ("\U00020000" * 60 + ".png"))
    assert classify(path, out=tmp_path / "out") == 0


def test_a_full_disk_ends_with_74(slide, tmp_path, capsys, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert classify(slide, out=tmp_path / "out") == 74
    assert "free some space" in capsys.readouterr().err
    assert [path.name for path in only_folder(tmp_path / "out").iterdir()] == [".journal.sqlite3"]
    assert classify(slide, out=tmp_path / "out") == 0
    assert "resuming after tile 48 of 48" in capsys.readouterr().err


def test_memory_that_runs_out_ends_with_75_and_says_how_to_go_on(slide, tmp_path, capsys):
    def full(*_, **__):
        raise MemoryError

    assert classify(slide, out=tmp_path / "out", by=full) == 75
    assert "same command again" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(slide, tmp_path, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    assert classify(slide, out=tmp_path / "out", by=interrupt) == 130
    assert "her2edge: interrupted" in capsys.readouterr().err


def test_a_bug_passes_through_with_its_traceback(slide, tmp_path):
    def bug(*_, **__):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        classify(slide, out=tmp_path / "out", by=bug)


def test_what_the_library_logs_is_one_line_each_and_a_bug_has_its_traceback(slide, tmp_path, capsys):
    def speaking(*_, **__):
        log = logging.getLogger("her2edge")
        log.info("slide.png: resuming")
        log.warning("slide.png: enlarged")
        try:
            raise ZeroDivisionError("oh")
        except ZeroDivisionError:
            log.exception("slide.png: a bug")
        raise SlideError("the end")

    assert classify(slide, out=tmp_path / "out", by=speaking) == 65
    lines = [one for one in capsys.readouterr().err.splitlines()[1:] if "doctor --tune" not in one]
    assert lines[:3] == [
        "her2edge: slide.png: resuming",
        "her2edge: warning: slide.png: enlarged",
        "her2edge: error: slide.png: a bug",
    ]
    assert lines[-2:] == ["ZeroDivisionError: oh", "her2edge: the end"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["classify"],
        ["classify", "a.svs"],
        ["nonsense"],
        ["classify", "a.svs", "--out", "o", "--threads", "0"],
    ],
)
def test_a_wrong_call_is_a_usage_error(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("her2edge: found ")


def test_every_command_explains_itself(capsys):
    assert main(["-h"]) == 0
    overview = capsys.readouterr().out
    for name in ("classify", "demo", "explain", "inspect", "stain", "synthesize", "train", "quantize"):
        assert name in overview
        assert main([name, "-h"]) == 0
        assert "Usage" in capsys.readouterr().out


def test_the_version_names_the_runtime(capsys):
    assert main(["--version"]) == 0
    assert "ai-edge-litert" in capsys.readouterr().out


def test_inspect_shows_what_the_file_fixes(capsys):
    assert main(["inspect", str(tiny.INT8)]) == 0
    printed = capsys.readouterr().out
    for word in ("0/1+", "int8", "um per pixel", "synthetic tissue only", Model.load(tiny.INT8).sha256):
        assert word in printed
    assert main(["inspect", str(tiny.INT8), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["demo"] is True
    assert main(["inspect", str(tiny.INT8), "--card"]) == 0
    assert capsys.readouterr().out.startswith("---")


def test_inspect_says_what_a_slide_answer_of_the_model_goes_by(capsys):
    assert main(["inspect", str(TINY[4])]) == 0
    printed = capsys.readouterr().out
    assert "benign  0/1+  2+  3+" in printed
    for words in (
        "schema 2",
        "216 tiles of 36 slides",
        "benign is No tumour",
        "blur_quarter 0.24",
        "failed 5 %",
    ):
        assert words in printed
    assert main(["inspect", str(tiny.INT8)]) == 0
    printed = capsys.readouterr().out
    for words in ("schema 1", "novelty        none", "calibration    none: answers have no stated error"):
        assert words in printed


def test_synthesize_writes_a_cohort(tmp_path, capsys):
    arguments = ["synthesize", "--out", str(tmp_path / "data"), "--slides", "3", "--tiles", "1"]
    assert main(arguments) == 0
    with (tmp_path / "data" / "cohort.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    assert "3 tiles of 3 synthetic slides" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["train", "quantize"])
def test_a_missing_extra_says_what_to_install(verb, tmp_path):
    """With TensorFlow and Keras hidden, as on an edge machine."""
    arguments = {
        "train": ["demo_se_resnet50", "--data", "m.csv", "--out", "run"],
        "quantize": [str(tmp_path), "--data", "m.csv", "--scheme", "int8", "--out", "m.tflite"],
    }[verb]
    code = f"""
import sys
for name in ("tensorflow", "keras", "tf_keras"):
    sys.modules[name] = None
from her2edge_cli.main import main
from her2edge_cli.parts import Parts
raise SystemExit(main({[verb, *arguments]!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 78
    assert f"her2edge[{verb}]" in done.stderr


def test_without_the_cli_extra_the_script_says_what_to_install():
    code = "import sys; sys.modules['click'] = None\nimport her2edge_cli\nher2edge_cli.run()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 78
    assert "her2edge[cli,slides]" in done.stderr


@needs("wsi/tcga-cr-7395-01a-01-ts1.svs")
def test_the_real_slide_without_scale_is_refused_and_works_with_mpp(tmp_path, capsys):
    code, line = refused(capsys, "classify", TCGA, "--out", tmp_path / "out", "--model", tiny.INT8)
    assert code == 65
    assert "--mpp" in line
    assert not (tmp_path / "out").exists()
    assert classify(TCGA, out=tmp_path / "out", mpp=0.25) == 0
    assert len(list(only_folder(tmp_path / "out").iterdir())) == 5


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_sigterm_ends_with_143(slide, tmp_path):
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [
        "classify",
        str(slide),
        "--out",
        str(tmp_path / "out"),
        "--model",
        str(tiny.INT8),
        "--mpp",
        "0.02",
    ]
    code = f"""
import time
from her2edge_cli.main import main
from her2edge_cli.parts import Parts
raise SystemExit(main({command!r}, Parts(lambda *_, **__: (print("running", flush=True), time.sleep(60)))))
"""
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"running\n"
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert process.wait(10) == 143
        assert time.monotonic() - started < 5


def test_every_module_of_the_command_is_about_the_command_line():
    """What has no click in it belongs to the library; `measure/` is what bench measures, some modules are
    there before click can be imported, and others are what the processes of a cohort run, a drawing, or how
    the process keeps memory."""
    before = ("__init__.py", "__main__.py", "memory.py", "quiet.py", "stopping.py")
    elsewhere = ("bar.py", "dask_engine.py", "heap.py", "slide_job.py")
    package = ROOT / "cli" / "her2edge_cli"
    without = []
    for path in package.rglob("*.py"):
        if "measure" in path.relative_to(package).parts or path.name in before + elsewhere:
            continue
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import)]
        if not any(alias.name == "click" for node in imports for alias in node.names):
            without.append(path.name)
    assert without == []


def test_a_verb_imports_what_it_uses_and_no_other_verb(tmp_path):
    """Else every start waits for what only others need (benchmarks/start.py)."""
    code = f"""
import json, sys
from her2edge_cli.main import main
model = ["--model", {str(tiny.INT8)!r}, "--threads", "1"]
assert main(["classify", {str(tmp_path / "none.svs")!r}, "--out", {str(tmp_path / "out")!r}, *model]) == 66
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    loaded = set(json.loads(done.stdout))
    assert "her2edge_cli.classify" in loaded
    others = {name for name in cli.commands if name != "classify"}
    assert not loaded & {f"her2edge_cli.{name}" for name in others}
    rooms = {f"her2edge.{name}" for name in ("watch", "report", "dicom", "agree", "shards")}
    assert not loaded & (rooms | {"her2edge_training", "rich", "asyncio"})


def test_a_command_that_lacks_a_package_of_the_extra_says_what_to_install():
    """rich is looked for when a bar is drawn, long after the command was loaded."""
    code = """
import sys; sys.modules["rich"] = None
import her2edge_cli.main as main
from her2edge_cli import run
def draw():
    from her2edge_cli.bar import new_bar
main.main = draw
run()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 78
    assert "her2edge[cli,slides]" in done.stderr
