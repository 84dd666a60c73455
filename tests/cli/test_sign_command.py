"""keygen, sign, verify, trust as a user meets them: files, words and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import cv2
import pytest
import tiny
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from faults import failing_files
from signing import configure, trust_json

from her2edge import Model
from her2edge.model.trust import read_trust, trust_files
from her2edge_cli.main import main

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")


@pytest.fixture(autouse=True)
def user(tmp_path, monkeypatch):
    """An empty configuration folder, so that the trust of whoever runs the tests does not count."""
    folder = tmp_path.resolve() / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(folder.with_name("machine")))
    return folder


@pytest.fixture
def key(tmp_path, capsys):
    assert main(["keygen", "--out", str(tmp_path / "lab.pem")]) == 0
    capsys.readouterr()
    return tmp_path / "lab.pem"


@pytest.fixture
def signed(key, tmp_path, capsys):
    assert sign(key, tmp_path / "signed.tflite", "--epoch", 3) == 0
    capsys.readouterr()
    return tmp_path / "signed.tflite"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def typed(text, *arguments):
    """`run` for a user who types this where a passphrase is asked for."""
    with CliRunner().isolation(input=text):
        return run(*arguments)


def sign(key, out, *extra, model=tiny.INT8):
    return run("sign", model, "--key", key, "--out", out, *extra)


def refused(capsys, *arguments):
    """Exit code and words of a refused command, after checking that they are one line."""
    code = run(*arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("her2edge: ")
    return code, line


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_keygen_writes_a_private_key_and_its_trust_file(tmp_path, capsys):
    assert run("keygen", "--out", tmp_path / "lab.pem") == 0
    words = capsys.readouterr().out
    trust = read_trust(tmp_path / "lab.trust.json")
    assert trust.key.hex() in words
    assert trust.minimum_epoch == 0
    assert "PRIVATE" not in words
    assert (tmp_path / "lab.pem").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert names(tmp_path) == ["lab.pem", "lab.trust.json"]


@POSIX
def test_only_its_owner_reads_a_private_key_whatever_the_umask_and_a_killed_run_left(tmp_path):
    (tmp_path / ".partial-lab.pem").write_bytes(b"left by a killed run")
    (tmp_path / ".partial-lab.pem").chmod(0o666)
    before = os.umask(0)
    try:
        assert run("keygen", "--out", tmp_path / "lab.pem") == 0
    finally:
        os.umask(before)
    assert (tmp_path / "lab.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "lab.trust.json").stat().st_mode & 0o777 == 0o644


def test_two_keys_are_never_the_same(tmp_path):
    for name in ("a", "b"):
        assert run("keygen", "--out", tmp_path / f"{name}.pem") == 0
    assert read_trust(tmp_path / "a.trust.json") != read_trust(tmp_path / "b.trust.json")


@pytest.mark.parametrize("name", ["lab.pem", "lab.trust.json"])
def test_a_key_is_never_overwritten(tmp_path, capsys, name):
    (tmp_path / name).write_bytes(b"precious")
    code, line = refused(capsys, "keygen", "--out", tmp_path / "lab.pem")
    assert code == 73
    assert name in line
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"precious"


def test_a_folder_that_is_not_there_gets_no_key(tmp_path, capsys):
    assert refused(capsys, "keygen", "--out", tmp_path / "none" / "lab.pem")[0] == 73
    assert names(tmp_path) == []


def test_a_full_disk_leaves_no_half_key(tmp_path, capsys):
    for number in range(1, 7):  # both files created and written, the key synced and renamed
        with failing_files(number):
            assert refused(capsys, "keygen", "--out", tmp_path / "lab.pem")[0] == 74
        assert names(tmp_path) == []


def test_a_signed_model_is_verified_and_says_so(signed, key, capsys):
    trust = key.with_name("lab.trust.json")
    assert run("verify", signed, "--trust", trust) == 0
    words = capsys.readouterr().out
    model = Model.load(signed)
    for word in (model.sha256, model.manifest.flatbuffer.sha256, read_trust(trust).key.hex(), "golden.npz"):
        assert word in words
    assert "(verified)" in words
    assert "3, 0 or newer" in words
    assert run("verify", signed, "--trust", trust, "--minimum-epoch", 3) == 0


def test_verify_refuses_what_the_key_did_not_sign(signed, key, tmp_path, capsys):
    trust = key.with_name("lab.trust.json")
    assert run("keygen", "--out", tmp_path / "other.pem") == 0
    flipped = bytearray(signed.read_bytes())
    flipped[1000] ^= 1
    (tmp_path / "flipped.tflite").write_bytes(flipped)
    capsys.readouterr()
    for path, by, extra, word in (
        (tiny.INT8, trust, (), "no signature"),
        (signed, tmp_path / "other.trust.json", (), "another key"),
        (signed, trust, ("--minimum-epoch", 4), "epoch 3"),
        (tmp_path / "flipped.tflite", trust, (), "SHA-256"),
        (signed, key, (), "expected a trust file"),
    ):
        code, line = refused(capsys, "verify", path, "--trust", by, *extra)
        assert code == 78
        assert word in line
    assert refused(capsys, "verify", tmp_path / "none.tflite", "--trust", trust)[0] == 66
    assert refused(capsys, "verify", signed, "--trust", tmp_path / "none.json")[0] == 66
    assert refused(capsys, "verify", signed)[0] == 2


def test_sign_refuses_an_older_epoch_and_a_second_signature(signed, key, tmp_path, capsys):
    out = tmp_path / "out.tflite"
    assert refused(capsys, "sign", signed, "--key", key, "--out", out)[0] == 78
    assert refused(capsys, "sign", signed, "--key", key, "--out", out, "--replace", "--epoch", 2)[0] == 2
    assert not out.exists()
    assert sign(key, out, "--replace", model=signed) == 0
    assert out.read_bytes() == signed.read_bytes()


def test_sign_takes_only_models_that_are_whole(key, tmp_path, capsys):
    (tmp_path / "cut.tflite").write_bytes(tiny.INT8.read_bytes()[:-1])
    out = tmp_path / "out.tflite"
    assert refused(capsys, "sign", tmp_path / "cut.tflite", "--key", key, "--out", out)[0] == 78
    assert refused(capsys, "sign", tmp_path / "none.tflite", "--key", key, "--out", out)[0] == 66
    assert not out.exists()


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


BAD_KEYS = {
    "empty": (b"", 0o600, 65, "keygen"),
    "no key": (b"not a key at all", 0o600, 65, "keygen"),
    "a trust file": (trust_json(), 0o600, 65, "keygen"),
    "a public key": (b"-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n", 0o600, 65, "keygen"),
    "another kind": (pem(rsa.generate_private_key(65537, 2048)), 0o600, 65, "another kind"),
    "open to the group": (pem(Ed25519PrivateKey.generate()), 0o640, 65, "chmod 600"),
    "open to all": (pem(Ed25519PrivateKey.generate()), 0o604, 65, "chmod 600"),
    "too large": (b" " * (1 << 17), 0o600, 65, "64 KiB"),
}


@pytest.mark.parametrize("case", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_what_is_no_closed_private_key_signs_nothing(tmp_path, capsys, case):
    content, mode, wanted, word = case
    path = tmp_path / "bad.pem"
    path.write_bytes(content)
    path.chmod(mode)
    if os.name == "nt" and mode != 0o600:
        pytest.skip("Windows has no such permissions")
    code, line = refused(capsys, "sign", tiny.INT8, "--key", path, "--out", tmp_path / "out.tflite")
    assert code == wanted
    assert word in line
    assert names(tmp_path) == ["bad.pem"]


def test_a_missing_key_and_a_folder_are_named(tmp_path, capsys):
    out = tmp_path / "out.tflite"
    assert refused(capsys, "sign", tiny.INT8, "--key", tmp_path / "none.pem", "--out", out)[0] == 66
    assert refused(capsys, "sign", tiny.INT8, "--key", tmp_path, "--out", out)[0] == 65


def test_a_key_with_a_passphrase_signs_for_who_knows_it(tmp_path):
    assert typed("right\nright\n", "keygen", "--out", tmp_path / "lab.pem", "--passphrase") == 0
    assert b"ENCRYPTED" in (tmp_path / "lab.pem").read_bytes()
    out = tmp_path / "out.tflite"
    arguments = ("sign", tiny.INT8, "--key", tmp_path / "lab.pem", "--out", out)
    assert typed("wrong\n", *arguments) == 65
    assert not out.exists()
    assert typed("right\n", *arguments) == 0
    assert run("verify", out, "--trust", tmp_path / "lab.trust.json") == 0


def test_sign_overwrites_neither_the_model_nor_the_key(key, tmp_path, capsys):
    model = tmp_path / "model.tflite"
    model.write_bytes(tiny.INT8.read_bytes())
    (tmp_path / "link.pem").symlink_to(key)
    before = key.read_bytes()
    for out in (model, key, tmp_path / "link.pem"):
        assert refused(capsys, "sign", model, "--key", key, "--out", out)[0] == 2
    assert (model.read_bytes(), key.read_bytes()) == (tiny.INT8.read_bytes(), before)


def test_a_full_disk_leaves_the_signed_file_before(signed, key, tmp_path, capsys):
    before, files = signed.read_bytes(), names(tmp_path)
    with failing_files(3):  # synced
        code, _ = refused(capsys, "sign", tiny.INT8, "--key", key, "--out", signed, "--epoch", 9)
    assert code == 74
    assert (signed.read_bytes(), names(tmp_path)) == (before, files)


@POSIX
def test_trust_puts_a_key_in_place_and_shows_it(signed, key, user, capsys):
    assert run("trust") == 0
    assert "Every whole model loads" in capsys.readouterr().out
    before = os.umask(0)
    try:
        assert run("trust", key.with_name("lab.trust.json"), "--minimum-epoch", 2) == 0
    finally:
        os.umask(before)
    words = capsys.readouterr().out
    assert str(user / "her2edge" / "trust.json") in words
    assert "epoch 2 or newer" in words
    assert run("verify", signed) == 0
    assert run("inspect", signed) == 0
    assert "(verified)" in capsys.readouterr().out
    for path in ((), (tiny.INT8,)):
        assert refused(capsys, "inspect", *path)[0] == 78


def test_trust_takes_a_newer_epoch_and_neither_an_older_one_nor_another_key(key, tmp_path, capsys):
    file = key.with_name("lab.trust.json")
    assert run("keygen", "--out", tmp_path / "other.pem") == 0
    assert run("trust", file, "--minimum-epoch", 2) == 0
    capsys.readouterr()
    before = trust_files()[0].read_bytes()
    for arguments, word in ((file,), "newer epoch"), ((tmp_path / "other.trust.json",), "another key"):
        code, line = refused(capsys, "trust", *arguments)
        assert code == 73
        assert word in line
    assert trust_files()[0].read_bytes() == before
    assert run("trust", file, "--minimum-epoch", 3) == 0
    assert read_trust(trust_files()[0]).minimum_epoch == 3
    assert run("trust", "--minimum-epoch", 4) == 2


def test_trust_shows_where_a_bad_trust_file_is(user, capsys):
    path = configure(user, b"{")
    assert run("trust") == 78
    words = capsys.readouterr().out
    assert f"{path}: trust.json: cannot be read" in words
    assert "expected a trust file" in words
    assert "No model loads" in words


def test_classify_and_explain_refuse_an_untrusted_model_before_anything_is_written(
    signed, user, tmp_path, capsys
):
    slide = tmp_path / "slide.png"
    cv2.imwrite(str(slide), cv2.cvtColor(tiny.tissue(1)[0].pixels, cv2.COLOR_RGB2BGR))
    configure(user, key_file(signed).read_bytes())
    scale = ("--mpp", tiny.MPP)
    for arguments in (
        ("classify", slide, "--out", tmp_path / "out", "--model", tiny.INT8, *scale),
        ("classify", slide, "--out", tmp_path / "out", *scale),  # the demo model
        ("explain", slide, "--model", tiny.INT8, "--out", tmp_path / "out"),
        ("explain", slide, "--out", tmp_path / "out"),
        ("demo", "--out", tmp_path / "out"),
    ):
        code, line = refused(capsys, *arguments)
        assert code == 78
        assert "no signature" in line
        assert not (tmp_path / "out").exists()
    assert run("classify", slide, "--out", tmp_path / "out", "--model", signed, *scale) == 0
    (folder,) = (tmp_path / "out").iterdir()
    signer = json.loads((folder / "run.json").read_text())["signer"]
    assert signer == {"key": read_trust(key_file(signed)).key.hex(), "verified": True}


def key_file(signed):
    return signed.with_name("lab.trust.json")


@pytest.mark.parametrize(
    "arguments",
    [["keygen", "--out", "new.pem"], ["sign", "m", "--key", "lab.pem", "--out", "s"], ["verify", "s.tflite"]],
    ids=["keygen", "sign", "verify"],
)
def test_without_the_sign_extra_each_verb_says_what_to_install(arguments, signed, key, tmp_path):
    if arguments[0] == "verify":
        arguments = ["verify", str(signed), "--trust", str(key_file(signed))]
    before = names(tmp_path)
    code = f"""
import sys
sys.modules["cryptography"] = None
from her2edge_cli.main import main
raise SystemExit(main({arguments!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 78
    assert 'pip install "her2edge[sign]"' in done.stderr
    assert names(tmp_path) == before


def test_the_overview_names_every_verb(capsys):
    assert main(["-h"]) == 0
    overview = capsys.readouterr().out
    for verb in ("keygen", "sign", "verify", "trust"):
        assert f"\n  {verb} " in overview
        assert main([verb, "-h"]) == 0
