"""Numba loops that look at the quality of a tile, and nothing else: see `_kernels`, whose rules hold here too."""
