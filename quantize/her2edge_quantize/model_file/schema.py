"""The manifest's JSON Schema on stdout: `make schema` writes it to her2edge/data/manifest.schema.json."""

import sys

from her2edge.files import json_bytes
from her2edge.model.manifest import manifest_schema


def schema_bytes() -> bytes:
    """The JSON Schema of manifest.json, sorted and indented."""
    return json_bytes(manifest_schema(), ordered=True)


if __name__ == "__main__":
    sys.stdout.buffer.write(schema_bytes())
