"""The JSON Schema of summary.json on stdout: `make schema` writes it to her2edge/data/summary.schema.json."""

import sys

from her2edge.files import json_bytes
from her2edge.results.summary import summary_schema


def schema_bytes() -> bytes:
    """The JSON Schema of summary.json, sorted and indented."""
    return json_bytes(summary_schema(), ordered=True)


if __name__ == "__main__":
    sys.stdout.buffer.write(schema_bytes())
