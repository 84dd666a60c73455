"""The manifest's JSON Schema of version 1 or 2 on stdout: `make schema` writes both to her2edge/data."""

import sys
from typing import Literal

from her2edge.files import json_bytes
from her2edge.model.manifest import SCHEMA, manifest_schema


def schema_bytes(version: Literal[1, 2] = SCHEMA) -> bytes:
    """The JSON Schema of manifest.json, sorted and indented."""
    return json_bytes(manifest_schema(version), ordered=True)


if __name__ == "__main__":
    sys.stdout.buffer.write(schema_bytes(1 if "1" in sys.argv[1:] else SCHEMA))
