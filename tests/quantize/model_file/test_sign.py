"""A signed model loads for those who trust its key; anything else about it is refused (RELIABILITY 3)."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys

import naive_ed25519
import numpy as np
import pytest
import tiny
from ai_edge_litert.interpreter import Interpreter
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from signing import EPOCH, KEY, OTHER, SIGNED, UNSIGNED, parts, rebuilt, trust

from her2edge import Model, Trust
from her2edge.errors import ModelError, OptionError
from her2edge.model.trust import signed_bytes
from her2edge.model.trust.key import SMALL_ORDER
from her2edge_quantize.model_file.keys import public_key
from her2edge_quantize.model_file.sign import sign

OLD = Model.from_bytes(UNSIGNED).manifest.epoch


def refused(data, by):
    with pytest.raises(ModelError) as error:
        Model.from_bytes(data, trust=by)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_signing_adds_one_member_and_leaves_every_other_byte_of_the_model_alone():
    signed = sign(UNSIGNED, KEY)
    members = parts(signed)
    assert len(members.pop("signature")) == 96
    assert rebuilt(members) == UNSIGNED


def test_a_newer_epoch_changes_that_field_of_the_manifest_and_nothing_else():
    before, after = parts(UNSIGNED), parts(SIGNED)
    manifest = json.loads(after.pop("manifest.json"))
    assert manifest == json.loads(before.pop("manifest.json")) | {"epoch": EPOCH}
    del after["signature"]
    assert after == before
    assert Model.from_bytes(SIGNED).flatbuffer == Model.from_bytes(UNSIGNED).flatbuffer


def test_the_same_input_is_signed_to_the_same_bytes():
    assert sign(UNSIGNED, KEY, EPOCH) == SIGNED


def test_litert_reads_the_signed_file_with_the_same_answer():
    tile = Model.from_bytes(UNSIGNED).golden.tiles[:1]
    answers = []
    for data in (UNSIGNED, SIGNED):
        runner = Interpreter(model_content=data).get_signature_runner()
        (name,) = runner.get_input_details()
        answers.append(runner(**{name: tile})["logits"])
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("epoch", [0, EPOCH - 1, -1, 1 << 53])
def test_an_epoch_only_grows(epoch):
    with pytest.raises(OptionError, match="epoch"):
        sign(SIGNED, KEY, epoch, replace=True)


def test_a_signed_model_is_signed_again_only_when_asked_for():
    with pytest.raises(ModelError, match="--replace"):
        sign(SIGNED, OTHER)
    again = sign(SIGNED, OTHER, replace=True)
    assert Model.from_bytes(again, trust=trust(OTHER)).manifest.epoch == EPOCH
    assert {**parts(again), "signature": b""} == {**parts(SIGNED), "signature": b""}
    assert sign(again, KEY, replace=True) == SIGNED


def test_a_damaged_model_is_not_signed():
    damaged = bytearray(UNSIGNED)
    damaged[100] ^= 1
    with pytest.raises(ModelError, match="SHA-256"):
        sign(bytes(damaged), KEY)


def test_the_trusted_signer_is_named_as_verified_and_an_unchecked_one_is_not():
    key = public_key(KEY).hex()
    verified = Model.from_bytes(SIGNED, trust=trust()).signer
    unchecked = Model.from_bytes(SIGNED, trust="anyone").signer
    assert (verified.key, verified.verified) == (key, True)
    assert (unchecked.key, unchecked.verified) == (key, False)
    assert Model.from_bytes(UNSIGNED, trust="anyone").signer is None


def test_missing_signature_wrong_key_and_older_epoch_are_refused_each_in_its_own_words():
    assert "no signature" in refused(UNSIGNED, trust())
    wrong = refused(SIGNED, trust(OTHER))
    assert "another key" in wrong
    assert public_key(KEY).hex()[:16] in wrong
    assert public_key(OTHER).hex()[:16] in wrong
    assert f"epoch {EPOCH}, expected {EPOCH + 1}" in refused(SIGNED, trust(minimum_epoch=EPOCH + 1))
    assert Model.from_bytes(SIGNED, trust=trust(minimum_epoch=EPOCH)).manifest.epoch == EPOCH


def test_every_flipped_bit_of_the_signature_is_refused():
    members = parts()
    whole = members["signature"]
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        message = refused(rebuilt(members | {"signature": bytes(damaged)}), trust())
        assert ("another key" if bit < 8 * 32 else "damaged signature") in message


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=64, max_size=64))
def test_made_up_signatures_are_refused(value):
    members = parts()
    assert "damaged" in refused(rebuilt(members | {"signature": members["signature"][:32] + value}), trust())


@pytest.mark.parametrize("size", [0, 1, 32, 95, 97])
@pytest.mark.parametrize("by", ["anyone", trust()], ids=["anyone", "trust"])
def test_a_signature_of_another_size_is_refused_whoever_is_trusted(size, by):
    assert "bytes" in refused(rebuilt(parts() | {"signature": bytes(size)}), by)


def test_the_signature_of_another_model_is_refused():
    moved = parts(sign(tiny.FP32.read_bytes(), KEY, EPOCH))["signature"]
    assert "another model" in refused(rebuilt(parts() | {"signature": moved}), trust())


def test_a_signature_of_the_bare_manifest_stands_for_nothing():
    members = parts()
    bare = public_key(KEY) + KEY.sign(members["manifest.json"])
    assert "damaged" in refused(rebuilt(members | {"signature": bare}), trust())


@pytest.mark.parametrize("change", [{"epoch": EPOCH + 1}, {"demo": False}, {"temperature": 2.0}])
def test_a_manifest_changed_after_signing_is_refused(change):
    members = parts()
    manifest = json.dumps(json.loads(members["manifest.json"]) | change).encode()
    changed = rebuilt(members | {"manifest.json": manifest})
    assert Model.from_bytes(changed, trust="anyone")
    assert "damaged" in refused(changed, trust())


def test_a_member_changed_after_signing_is_refused_with_its_hash_restated_or_not():
    members = parts() | {"MODEL_CARD.md": b"another card"}
    assert "MODEL_CARD.md" in refused(rebuilt(members), trust())
    manifest = json.loads(members["manifest.json"])
    manifest["members"]["MODEL_CARD.md"] = {
        "size": 12, "sha256": hashlib.sha256(b"another card").hexdigest()
    }  # fmt: skip
    changed = rebuilt(members | {"manifest.json": json.dumps(manifest).encode()})
    assert Model.from_bytes(changed, trust="anyone").card == "another card"
    assert "damaged" in refused(changed, trust())


def test_the_signature_is_ed25519_by_the_book():
    members = parts()
    key, value = members["signature"][:32], members["signature"][32:]
    message = signed_bytes(members["manifest.json"])
    assert naive_ed25519.verify(key, message, value)
    assert not naive_ed25519.verify(key, message + b" ", value)
    assert not naive_ed25519.verify(public_key(OTHER), message, value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
def test_the_openssl_command_verifies_the_signature(tmp_path):
    members = parts()
    (tmp_path / "key.pem").write_bytes(
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "signature").write_bytes(members["signature"][32:])
    manifest = b"her2edge model manifest, signature version 1\n" + members["manifest.json"]
    files = ["-inkey", "key.pem", "-in", "manifest", "-sigfile", "signature"]
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", *files]
    for message, code in ((manifest, 0), (manifest + b" ", 1)):
        (tmp_path / "manifest").write_bytes(message)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        if "rawin" in done.stderr:
            pytest.skip("this openssl is older than 3.0")
        assert done.returncode == code, done.stderr


@pytest.mark.parametrize("key", ["ab" * 32, b"", bytes(31), b"\1" * 33, None])
def test_a_trusted_key_is_32_bytes(key):
    with pytest.raises(OptionError, match="32 bytes"):
        Trust(key)


@pytest.mark.parametrize("epoch", [-1, 1.0, "1", None, True])
def test_a_minimum_epoch_is_a_whole_number(epoch):
    with pytest.raises(OptionError, match="minimum_epoch"):
        Trust(public_key(KEY), epoch)


def test_keys_that_anybody_can_sign_for_are_no_trusted_keys():
    """The points of order 1, 2, 4, 8, in every encoding of 255 bits and a sign."""
    p = naive_ed25519.P
    for y in SMALL_ORDER:
        point = naive_ed25519.decode(y.to_bytes(32, "little"))
        assert naive_ed25519.times(8, point) == naive_ed25519.IDENTITY
        for encoded in range(y, 1 << 255, p):
            for sign_bit in (0, 1 << 255):
                with pytest.raises(OptionError, match="anybody"):
                    Trust((encoded | sign_bit).to_bytes(32, "little"))


def test_zeros_would_be_such_a_key():
    forged = (1).to_bytes(32, "little") + bytes(32)

    def accepted(message):
        try:
            Ed25519PublicKey.from_public_bytes(bytes(32)).verify(forged, message)
        except InvalidSignature:
            return False
        return True

    assert any(accepted(signed_bytes(b"%d" % i)) for i in range(64))


@pytest.mark.parametrize("by", ["nobody", "", b"", 1, public_key(KEY)])
def test_what_is_no_trust_is_refused(by):
    with pytest.raises(OptionError, match="trust="):
        Model.from_bytes(SIGNED, trust=by)


WITHOUT = """
import sys
sys.modules["cryptography"] = None
sys.path[:0] = {path!r}
from pathlib import Path
from her2edge import Model, Trust
from her2edge.errors import ModelError, RuntimeUnavailable
signed, unsigned = (Path(name).read_bytes() for name in ("signed", "unsigned"))
key = signed[signed.index(bytes.fromhex({key!r})):][:32]
for data in (signed, unsigned):
    Model.from_bytes(data, trust="anyone")
for data, trust in ((signed, Trust(key)), (unsigned, Trust(key)), (signed, Trust(b"1" * 32))):
    try:
        Model.from_bytes(data, trust=trust)
    except (ModelError, RuntimeUnavailable) as error:
        print(type(error).__name__, error)
"""


def test_without_cryptography_every_model_loads_untrusted_and_none_trusted(tmp_path):
    (tmp_path / "signed").write_bytes(SIGNED)
    (tmp_path / "unsigned").write_bytes(UNSIGNED)
    code = WITHOUT.format(path=sys.path, key=public_key(KEY).hex())
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["RuntimeUnavailable", "ModelError", "ModelError"]
    assert 'pip install "her2edge[sign]"' in lines[0]


def test_signing_modules_come_without_cryptography_until_used():
    code = "import sys, her2edge_quantize.model_file.sign; raise SystemExit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_disk_that_fills_up_leaves_both_files_of_a_key_or_none(tmp_path):
    from faults import failing_files

    from her2edge.errors import OutputError
    from her2edge_quantize.model_file.keys import write_new_key

    with failing_files(0) as counted:
        write_new_key(tmp_path / "0.pem")
    for n in range(1, counted.calls + 1):
        folder = tmp_path / f"fails-{n}"
        folder.mkdir()
        with failing_files(n), pytest.raises(OutputError):
            write_new_key(folder / "key.pem")
        assert not list(folder.iterdir())
    assert counted.calls > 6
