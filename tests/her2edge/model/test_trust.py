"""trust.json: what a machine is configured to trust is asked for, and never overlooked (RELIABILITY 3)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from signing import EPOCH, KEY, OTHER, SIGNED, UNSIGNED, configure, trust, trust_json

from her2edge import Model, TileClassifier
from her2edge.errors import ModelError, RuntimeUnavailable
from her2edge.model.trust import configured_trust, read_trust, trust_at, trust_bytes, trust_files
from her2edge_quantize.model_file.pack import write_model
from her2edge_quantize.model_file.sign import sign

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows keeps these folders in its registry")
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def user(tmp_path, monkeypatch):
    """The user's configuration folder; the machine's are two folders beside it, none of them there yet."""
    folder = tmp_path.resolve()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "user"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", f"{folder / 'desktop'}:{folder / 'machine'}")
    if trust_files()[0] != folder / "user" / "her2edge" / "trust.json":
        pytest.skip("this system does not follow XDG_CONFIG_HOME")
    return folder / "user"


def refused(data=SIGNED):
    with pytest.raises(ModelError) as error:
        Model.from_bytes(data)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_without_a_trust_file_every_whole_model_loads(user):
    assert configured_trust() == ()
    assert Model.from_bytes(UNSIGNED).signer is None
    assert Model.from_bytes(SIGNED).signer.verified is False
    assert Model.demo().manifest.demo


def test_the_users_trust_file_holds_at_every_door_of_a_model(user, tmp_path):
    (tmp_path / "signed.tflite").write_bytes(SIGNED)
    (tmp_path / "unsigned.tflite").write_bytes(UNSIGNED)
    configure(user)
    assert Model.from_bytes(SIGNED).signer.verified
    assert Model.load(tmp_path / "signed.tflite").signer.verified
    with pytest.raises(ModelError, match=r"unsigned\.tflite: found no signature"):
        Model.load(tmp_path / "unsigned.tflite")
    with pytest.raises(ModelError, match="demo model: found no signature"):
        Model.demo()
    assert "no signature" in refused(UNSIGNED)


def test_a_trusted_model_classifies_as_it_did_unsigned(user):
    before = TileClassifier(Model.from_bytes(UNSIGNED)).classify(Model.from_bytes(UNSIGNED).golden.tiles[0])
    configure(user)
    after = TileClassifier(Model.from_bytes(SIGNED)).classify(Model.from_bytes(SIGNED).golden.tiles[0])
    np.testing.assert_array_equal(after.probabilities, before.probabilities)


@pytest.mark.parametrize("name", ["desktop", "machine"])
def test_every_configuration_folder_of_the_machine_counts(user, name):
    configure(user.with_name(name), trust_json(OTHER))
    assert "another key" in refused()


def test_the_user_can_narrow_what_the_machine_trusts_and_never_widen_it(user):
    configure(user.with_name("machine"), trust_json(KEY, EPOCH))
    configure(user, trust_json(KEY, 0))
    assert Model.from_bytes(SIGNED).signer.verified
    assert "epoch" in refused(sign(UNSIGNED, KEY, EPOCH - 1))
    configure(user, trust_json(KEY, EPOCH + 1))
    assert "epoch" in refused()
    configure(user, trust_json(OTHER))
    assert "another key" in refused()
    assert "another key" in refused(sign(UNSIGNED, OTHER, EPOCH))


def test_a_trust_given_takes_the_place_of_the_machines(user):
    configure(user)
    other = sign(UNSIGNED, OTHER)
    assert Model.from_bytes(other, trust=trust(OTHER)).signer.verified
    assert Model.from_bytes(UNSIGNED, trust="anyone").signer is None


def test_models_are_made_and_signed_on_a_machine_that_trusts_a_key(user, tmp_path):
    configure(user)
    path = write_model(tmp_path / "new.tflite", UNSIGNED)
    assert sign(path.read_bytes(), KEY, EPOCH) == SIGNED


MALFORMED = {
    "empty": b"",
    "no JSON": b"key: abc",
    "cut short": trust_json()[:-1],
    "a list": b"[]",
    "no key": b'{"minimum_epoch": 1}',
    "an empty key": b'{"key": ""}',
    "a short key": b'{"key": "abcd"}',
    "upper case": trust_json().upper().replace(b"KEY", b"key").replace(b"MINIMUM_EPOCH", b"minimum_epoch"),
    "no hexadecimal digits": b'{"key": "%s"}' % (b"g" * 64),
    "a negative epoch": trust_json().replace(b": 0}", b": -1}"),
    "a broken epoch": trust_json().replace(b": 0}", b": 1.5}"),
    "an epoch in quotes": trust_json().replace(b": 0}", b': "1"}'),
    "an unknown field": trust_json().replace(b"minimum_epoch", b"minimum-epoch"),
    "a key of zeros": b'{"key": "%s"}' % (b"0" * 64),
    "no Unicode": b'{"key": "\xff"}',
    "more than 64 KiB": trust_json() + b" " * (1 << 16),
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_trust_file_lets_nothing_load(user, content):
    path = configure(user, content)
    for data in (SIGNED, UNSIGNED):
        said = refused(data)
        assert "trust.json" in said
        assert str(path.parent) not in said


def make_folder(path):
    path.mkdir()


def make_broken_link(path):
    path.symlink_to("nowhere")


def make_link_to_itself(path):
    path.symlink_to(path)


def make_pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize("make", [make_folder, make_broken_link, make_link_to_itself, make_pipe])
def test_what_stands_in_the_place_of_a_trust_file_lets_nothing_load(user, make):
    path = configure(user)
    path.unlink()
    make(path)
    assert "trust.json" in refused()


def test_a_trust_file_that_cannot_be_looked_for_lets_nothing_load(user, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(user.with_name("a" * 300)))
    assert "cannot be looked for" in refused()


@pytest.mark.skipif(ROOT, reason="the superuser may read everything")
def test_a_trust_file_without_permission_lets_nothing_load(user):
    configure(user).chmod(0o000)
    assert "cannot be read" in refused()
    user.chmod(0o000)
    assert "cannot be looked for" in refused()
    user.chmod(0o700)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_trust_file_that_others_may_write_to_lets_nothing_load(user, mode):
    configure(user).chmod(mode)
    assert "chmod go-w" in refused()


@pytest.mark.parametrize("above", [0, 1])
def test_a_trust_file_that_others_may_replace_lets_nothing_load(user, above):
    path = configure(user)
    path.parents[above].chmod(0o777)
    assert "chmod go-w" in refused()
    path.parents[above].chmod(0o755)
    assert Model.from_bytes(SIGNED).signer.verified


@pytest.mark.skipif(not ROOT, reason="only the superuser gives files away")
@pytest.mark.parametrize("above", [None, 0, 1, 2])
def test_a_trust_file_on_whose_way_another_user_owns_anything_lets_nothing_load(user, above):
    path = configure(user)
    place = path if above is None else path.parents[above]
    os.chown(place, 12345, -1)
    assert f"another user owns {place}," in refused()
    os.chown(place, 0, -1)
    assert Model.from_bytes(SIGNED).signer.verified


@pytest.mark.skipif(not ROOT, reason="only the superuser gives links away")
def test_a_link_that_another_user_may_turn_lets_nothing_load(user):
    """From link to link: each of them, and the folders that they lie in, not only where they lead at last."""
    configure(user)
    real, aside = user.with_name("real"), user.with_name("aside")
    user.rename(real)
    aside.mkdir(mode=0o755)
    (aside / "second").symlink_to(real)
    user.symlink_to("aside/../aside/second")
    assert Model.from_bytes(SIGNED).signer.verified
    for place in (user, aside, aside / "second"):
        os.chown(place, 12345, -1, follow_symlinks=False)
        assert f"another user owns {place}," in refused()
        os.chown(place, 0, -1, follow_symlinks=False)
    assert Model.from_bytes(SIGNED).signer.verified
    aside.chmod(0o777)
    assert f"another user may write to {aside}," in refused()
    aside.chmod(0o1777)
    assert Model.from_bytes(SIGNED).signer.verified


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is Linux's")
@pytest.mark.parametrize("folders", ["", "/nowhere", "relative", "/nowhere:/etc/xdg:/else", None])
def test_no_variable_switches_the_trust_of_the_machine_off(monkeypatch, folders):
    if folders is None:
        monkeypatch.delenv("XDG_CONFIG_DIRS", raising=False)
    else:
        monkeypatch.setenv("XDG_CONFIG_DIRS", folders)
    places = [str(path) for path in trust_files()]
    assert places.count("/etc/xdg/her2edge/trust.json") == 1
    assert ("/nowhere/her2edge/trust.json" in places) == bool(folders and "nowhere" in folders)


def test_a_link_to_a_closed_trust_file_is_followed(user, tmp_path):
    path = configure(user)
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    assert Model.from_bytes(SIGNED).signer.verified
    (tmp_path / "elsewhere.json").chmod(0o666)
    assert "chmod go-w" in refused()


def test_a_trust_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "lab.trust.json"
    path.write_bytes(trust_bytes(trust(KEY, 7)))
    assert read_trust(path) == trust(KEY, 7)
    path.write_bytes(trust_json().replace(b', "minimum_epoch": 0', b""))
    assert read_trust(path) == trust(KEY, 0)
    assert trust_at(Path("nowhere") / "trust.json") is None


def test_a_configured_key_without_cryptography_lets_nothing_load(user, monkeypatch):
    configure(user)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(RuntimeUnavailable, match=r"her2edge\[sign\]"):
        Model.from_bytes(SIGNED)
    with pytest.raises(ModelError, match="no signature"):
        Model.from_bytes(UNSIGNED)
