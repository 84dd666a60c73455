"""A model file: one .tflite with a ZIP appended, verified before any parser sees it.

    FlatBuffer | ZIP members | ZIP end record with the comment = SHA-256 (hex) of all bytes before it

Netron, the TFLite benchmark tool and `unzip` read the same file. The file is read into memory once, and its
bytes are held once: an interpreter that maps a file dies of SIGBUS when somebody truncates it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.arrays import read_arrays
from her2edge.errors import ModelError, OptionError, StainError
from her2edge.files import foreign, open_input, read_input
from her2edge.model.manifest import NOVELTY, Manifest
from her2edge.model.novelty import Novelty, read_novelty
from her2edge.model.records import Member
from her2edge.model.trust import Signer, TrustChoice, admit
from her2edge.model.whole import EXPECTED, Parts, hashes
from her2edge.stain import MacenkoNormalizer, StainFit, StainMode
from her2edge.tile import Pixels
from her2edge.tissue import TissueFilter

REQUIRED = ("manifest.json", "labels.txt", "head.npz", "golden.npz", "MODEL_CARD.md")
OPTIONAL = ("signature", NOVELTY)
MAX_FILE_BYTES = 1 << 30
MAX_MEMBER_BYTES = 64 << 20
MAX_MEMBERS = 1000  # bytes that look like one may be in a FlatBuffer
DTYPES = ("float32", "float32", "float32", "float32", "uint8", "float32")  # of head and golden arrays


@dataclass(frozen=True, eq=False)
class Head:
    """The layers after the feature map, batch norm folded in: relu(p @ w1 + b1) @ w2 + b2 = logits.

    w1 (channels, units), b1 (units,), w2 (units, labels), b2 (labels,), float32; p (channels,) the mean of
    the feature map over its rows and columns.
    """

    w1: NDArray[np.float32]
    b1: NDArray[np.float32]
    w2: NDArray[np.float32]
    b2: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Golden:
    """Synthetic network inputs (n, tile_px, tile_px, 3) uint8 RGB and their logits (n, labels) float32."""

    tiles: Pixels
    logits: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Model:
    """A verified model. `flatbuffer` is the part the runtime gets; `sha256` names the whole file.

    signer: whose signature the file carries, novelty: its novelty limit; None where it has none.
    """

    manifest: Manifest
    flatbuffer: bytes
    head: Head
    golden: Golden
    card: str
    sha256: str
    signer: Signer | None = None
    novelty: Novelty | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, trust: TrustChoice = None) -> Model:
        """Read and verify a model file.

        trust: whose signature it must carry, a Trust. None: what this machine is configured to trust, see
               `her2edge.model.trust`. "anyone": no matter whose, for programs that make model files.

        Raises MissingInputError where there is none, ModelError where it is not exactly what was packed or
        not trusted, RuntimeUnavailable where a key is trusted and cryptography is not installed.
        """
        path = Path(path)
        with naming(path), open_input(path, MAX_FILE_BYTES, EXPECTED, ModelError) as file:
            return cls._verified(Parts.of(file), trust)

    @classmethod
    def demo(cls, *, trust: TrustChoice = None) -> Model:
        """The embedded demonstration model: it knows synthetic tissue only, nothing of patients.

        Raises as `load`. It is not signed: where a key is trusted, no forgotten argument brings it in.
        """
        try:
            with resources.files("her2edge.data").joinpath("demo-int8.tflite").open("rb") as file:
                parts = Parts.of(file)
        except FileNotFoundError as error:
            raise ModelError(
                "found no demo model in this installation, expected her2edge/data/demo-int8.tflite: "
                "install her2edge again, or name a model of your own"
            ) from error
        try:
            return cls._verified(parts, trust)
        except ModelError as error:
            raise ModelError(f"the demo model: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes, *, trust: TrustChoice = None) -> Model:
        """Verify a model file held in memory; trust and errors as in `load`."""
        return cls._verified(Parts.of(io.BytesIO(data)), trust)

    @classmethod
    def _verified(cls, parts: Parts, trust: TrustChoice) -> Model:
        of_flatbuffer, sha256 = hashes(parts)
        members, offset = read_members(parts.rest)
        flatbuffer = parts.flatbuffer
        if offset:  # the guess was wrong
            data = flatbuffer + parts.rest
            members, offset = read_members(data)
            flatbuffer = data[:offset]
            of_flatbuffer = hashlib.sha256(flatbuffer).hexdigest()
        manifest, signer = admit(members["manifest.json"], members.get("signature"), trust)
        _check_member("FlatBuffer", len(flatbuffer), of_flatbuffer, manifest.flatbuffer)
        described = set(manifest.members) | {"manifest.json", "signature"}
        if not set(members) <= described or not set(manifest.members) <= set(members):
            raise ModelError(
                f"found members {sorted(members)}, the manifest lists {sorted(manifest.members)}"
            )
        for name, member in manifest.members.items():
            _check_member(name, len(members[name]), hashlib.sha256(members[name]).hexdigest(), member)
        if members["labels.txt"].decode("utf-8", "replace").splitlines() != list(manifest.labels):
            raise ModelError("labels.txt and the manifest name different labels; pack the model again")
        head, golden = _arrays(members, manifest)
        novelty = _novelty(members, manifest)
        card = members["MODEL_CARD.md"].decode("utf-8", "replace")
        model = cls(manifest, flatbuffer, head, golden, card, sha256, signer, novelty)
        try:
            MacenkoNormalizer(manifest.stain.profile, model.stain_target)
        except (StainError, OptionError) as error:
            raise ModelError(f"the manifest's stain part cannot be used: {error}") from error
        return model

    @property
    def tile_px(self) -> int:
        """Width and height of a tile, pixels."""
        return self.manifest.input.tile_px

    @property
    def mpp(self) -> float:
        """Scale of a tile, um per pixel."""
        return self.manifest.input.mpp

    @property
    def tissue_filter(self) -> TissueFilter:
        """The tissue rule the model was trained behind."""
        rule = self.manifest.tissue
        return TissueFilter(rule.low, rule.high, rule.background_share)

    @property
    def stain_mode(self) -> StainMode:
        """How the model wants the stains of tiles handled."""
        return StainMode(self.manifest.stain.mode)

    @property
    def stain_target(self) -> StainFit:
        """The stains the model was trained on."""
        target = self.manifest.stain.target
        return StainFit(
            np.array(target.stain_matrix), np.array(target.max_concentration), self.manifest.stain.profile
        )


def read_model_file(path: Path) -> bytes:
    """The bytes of a model file, not verified; raises MissingInputError, ModelError."""
    return read_input(path, MAX_FILE_BYTES, EXPECTED, ModelError)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """A ModelError of bytes that were read from a file names it."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path.name}: {error}") from error


def read_members(data: bytes) -> tuple[dict[str, bytes], int]:
    """The ZIP's members by name, and where in `data` it begins.

    data: a model file, or a part that has all of the ZIP. Where it begins before that, no member is read."""
    if data.count(b"PK\x01\x02") > MAX_MEMBERS:
        raise ModelError(f"found more than {MAX_MEMBERS} members, expected {', '.join(REQUIRED)}")
    with (
        foreign("the appended ZIP", "what `her2edge quantize` packs: pack the model again", ModelError),
        zipfile.ZipFile(io.BytesIO(data)) as archive,
    ):
        infos = archive.infolist()
        names = [info.filename for info in infos]
        missing = set(REQUIRED) - set(names)
        if missing or len(set(names)) != len(names) or not set(names) <= {*REQUIRED, *OPTIONAL}:
            raise ModelError(f"found members {names}, expected each of {', '.join(REQUIRED)} once")
        if max(info.file_size for info in infos) > MAX_MEMBER_BYTES:
            raise ModelError(f"a member is larger than {MAX_MEMBER_BYTES >> 20} MiB")
        if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
            raise ModelError("found a compressed or encrypted member, expected stored ones only")
        start = min(info.header_offset for info in infos)
        return {} if start < 0 else {name: archive.read(name) for name in names}, start


def _check_member(name: str, size: int, sha256: str, member: Member) -> None:
    if size != member.size or sha256 != member.sha256:
        raise ModelError(f"{name} differs from what the manifest describes; pack the model again")


def _arrays(members: dict[str, bytes], manifest: Manifest) -> tuple[Head, Golden]:
    head = Head(**_npz(members, "head.npz", ("w1", "b1", "w2", "b2")))
    golden = Golden(**_npz(members, "golden.npz", ("tiles", "logits")))
    size, units, labels = manifest.input.tile_px, head.b1.size, len(manifest.labels)
    count = golden.logits.size // labels
    channels = manifest.features.shape[-1] if manifest.features.shape else 0
    arrays = (head.w1, head.b1, head.w2, head.b2, golden.tiles, golden.logits)
    shapes = tuple(array.shape for array in arrays)
    layers = ((channels, units), (units,), (units, labels), (labels,))
    wanted = (*layers, (count, size, size, 3), (count, labels))
    dtypes = tuple(array.dtype.name for array in arrays)
    if shapes != wanted or dtypes != DTYPES:
        raise ModelError(
            f"head and golden arrays have shapes {shapes}, {dtypes}, expected {wanted}, {DTYPES}; pack the "
            "model again"
        )
    return head, golden


def _novelty(members: dict[str, bytes], manifest: Manifest) -> Novelty | None:
    if NOVELTY not in manifest.members:
        return None
    shape = manifest.features.shape
    novelty = read_novelty(members[NOVELTY], shape[-1] if shape else 0, len(manifest.labels))
    stated = None if manifest.novelty is None else manifest.novelty.components
    if stated != len(novelty.variances):
        raise ModelError(
            f"found {NOVELTY} with {len(novelty.variances)} components, the manifest states {stated}; "
            "pack the model again"
        )
    return novelty


def _npz(members: dict[str, bytes], name: str, arrays: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    return read_arrays(members[name], arrays, name=name, limit=MAX_MEMBER_BYTES, wrong=ModelError)
