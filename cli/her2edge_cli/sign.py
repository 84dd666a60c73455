"""her2edge keygen, sign, verify, trust: who made a model, and whose models this machine runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from her2edge import Model, Trust
from her2edge.alone import alone_with
from her2edge.errors import ModelError, OptionError, OutputError
from her2edge.files import atomic, ensure_folder
from her2edge.model.file import naming, read_model_file
from her2edge.model.trust import configured_trust, read_trust, trust_at, trust_bytes, trust_files
from her2edge.text import shown
from her2edge_cli import exits
from her2edge_cli.held import hold_file
from her2edge_cli.paths import PATH

EPOCH = click.IntRange(min=0)
PUBLIC = 0o644
WAIT = 10.0  # seconds, for another `her2edge trust`


@click.command()
@click.option("--out", required=True, type=PATH, metavar="KEY.pem", help="The private key to write.")
@click.option("--passphrase", "locked", is_flag=True, help="Ask for a passphrase to lock the key with.")
def keygen(out: Path, locked: bool) -> None:
    """Make a key to sign models with (Ed25519).

    Writes KEY.pem, which stays with you, and KEY.trust.json for the machines that are to trust it.
    """
    from her2edge_quantize.model_file.keys import write_new_key

    phrase = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True) if locked else None
    trust, beside = write_new_key(out, phrase)
    click.echo(f"key: {trust.key.hex()}")
    click.echo(f"private key: {shown(str(out))}")
    click.echo(f"trust file: {shown(str(beside))}")


@click.command()
@click.argument("path", type=PATH, metavar="MODEL")
@click.option("--key", "key_path", required=True, type=PATH, metavar="KEY.pem", help="The private key.")
@click.option("--out", required=True, type=PATH, metavar="SIGNED", help="The .tflite to write.")
@click.option(
    "--epoch", type=EPOCH, help="Epoch to sign, never lower than the model's. Default: the model's."
)
@click.option(
    "--replace", "again", is_flag=True, help="Replace the signature of a model that is signed already."
)
def sign(path: Path, key_path: Path, out: Path, epoch: int | None, again: bool) -> None:
    """Sign a model file.

    Everything else in the file stays as it is.
    """
    from her2edge_quantize.model_file.keys import public_key, read_key
    from her2edge_quantize.model_file.pack import write_model
    from her2edge_quantize.model_file.sign import sign as sign_bytes

    if out.resolve() in (path.resolve(), key_path.resolve()):
        raise OptionError("--out is also an input, expected another file")
    hold_file(out)
    key = read_key(key_path, lambda: str(click.prompt("Passphrase", hide_input=True, err=True)))
    data = read_model_file(path)
    with naming(path):
        data = sign_bytes(data, key, epoch, replace=again)
    write_model(out, data)
    epoch = Model.from_bytes(data, trust="anyone").manifest.epoch
    click.echo(f"signed: {shown(str(out))} (epoch {epoch}) by key {public_key(key).hex()}")


@click.command()
@click.argument("path", type=PATH, metavar="MODEL")
@click.option(
    "--trust",
    "trust_path",
    type=PATH,
    metavar="TRUST.json",
    help="Trust file that came with the key. Default: this machine's trust.",
)
@click.option("--minimum-epoch", type=EPOCH, help="Refuse models older than this epoch, too.")
def verify(path: Path, trust_path: Path | None, minimum_epoch: int | None) -> None:
    """Verify a model file and its signature.

    Says what was verified. Anything wrong ends with exit code 78.
    """
    wanted = (read_trust(trust_path),) if trust_path else configured_trust()
    if not wanted:
        Model.load(path, trust="anyone")  # what is no model is said first
        raise OptionError(
            "found no key that this machine trusts, expected one to verify with: pass the TRUST.json that "
            "came with the key as --trust"
        )
    least = max(minimum_epoch or 0, *(each.minimum_epoch for each in wanted))
    model = [Model.load(path, trust=replace(each, minimum_epoch=least)) for each in wanted][-1]
    manifest = model.manifest
    members = ", ".join(sorted(manifest.members))
    for name, value in (
        ("model", f"{manifest.name} {manifest.version}"),
        ("sha256", f"{model.sha256}, as the file says"),
        ("FlatBuffer", f"{manifest.flatbuffer.size} bytes, sha256 {manifest.flatbuffer.sha256}"),
        ("members", f"{members}, each as the manifest says"),
        ("signature", signature_line(model)),
        ("epoch", f"{manifest.epoch}, {least} or newer was asked for"),
    ):
        click.echo(f"{name:<14} {value}")


def signature_line(model: Model) -> str:
    """Whose signature a model carries, as people read it."""
    if model.signer is None:
        return "none"
    checked = "verified" if model.signer.verified else "not verified: this machine trusts no key"
    return f"by key {model.signer.key} ({checked})"


@click.command()
@click.argument("path", type=PATH, metavar="[TRUST.json]", required=False)
@click.option("--minimum-epoch", type=EPOCH, help="Refuse models older than this epoch.")
def trust(path: Path | None, minimum_epoch: int | None) -> int:
    """Show or set whose models this machine runs.

    With TRUST.json: its key is trusted for this user from now on. A user's trust.json that names another key
    is never overwritten: remove it first.
    """
    if path is not None:
        _install(read_trust(path), minimum_epoch)
    elif minimum_epoch is not None:
        raise OptionError("found --minimum-epoch without a TRUST.json, expected both")
    code, rule = exits.DONE, "Every whole model loads."
    for place in trust_files():
        state = "not there"
        try:
            if there := trust_at(place):
                state = f"key {there.key.hex()}, epoch {there.minimum_epoch} or newer"
                rule = "Only models that satisfy every trust file load."
        except ModelError as error:
            state, code = str(error), exits.exit_code(error)
        click.echo(f"{shown(str(place))}: {state}")
    click.echo("No model loads." if code else rule)
    return code


def _install(new: Trust, minimum_epoch: int | None) -> None:
    """Write the user's trust.json; an epoch it asks for already never gets older."""
    place, *_ = trust_files()
    ensure_folder(place.parent, 0o755)
    with alone_with(place, wait=WAIT):
        _write_trust(place, new, minimum_epoch)


def _write_trust(place: Path, new: Trust, minimum_epoch: int | None) -> None:
    former = trust_at(place)
    new = replace(new, minimum_epoch=max(new.minimum_epoch, minimum_epoch or 0))
    if former is not None and (former.key != new.key or former.minimum_epoch > new.minimum_epoch):
        raise OutputError(
            f"{place.name} is there and names {'another key' if former.key != new.key else 'a newer epoch'}, "
            "expected none or an older one of this key: remove it first (`her2edge trust` shows where it is)"
        )
    with atomic(place, PUBLIC) as file:
        file.write(trust_bytes(new))
