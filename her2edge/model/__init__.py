"""The model file: what it holds, how it is verified, and whose models may run."""

from her2edge.model.file import Golden, Head, Model
from her2edge.model.manifest import Manifest
from her2edge.model.trust import Signer, Trust, configured_trust, read_trust, trust_files

__all__ = [
    "Golden",
    "Head",
    "Manifest",
    "Model",
    "Signer",
    "Trust",
    "configured_trust",
    "read_trust",
    "trust_files",
]
