"""The her2edge command."""
