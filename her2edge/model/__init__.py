"""The model file: what it fixes (manifest), how it is verified and read (file), whose models load (trust)."""

from her2edge.model.file import Model

__all__ = ["Model"]
