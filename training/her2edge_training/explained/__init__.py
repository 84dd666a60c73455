"""What each field of a recipe means, and what the paper says of it: printed as a file or as a table."""

from her2edge_training.explained.fields import FIELD_NAMES
from her2edge_training.explained.page import fields_tables
from her2edge_training.explained.source import source_of

__all__ = ["FIELD_NAMES", "fields_tables", "source_of"]
