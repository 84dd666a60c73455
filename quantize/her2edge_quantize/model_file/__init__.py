"""A model file: packed, described, carded, signed."""
