"""The version of the distribution, as in pyproject.toml."""

__version__ = "0.2.0"
RELEASE = __version__.rpartition(".")[0]  # results may differ between releases, not between their patches
