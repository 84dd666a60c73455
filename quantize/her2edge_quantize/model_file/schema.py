"""The manifest's JSON Schema on stdout: `make schema` writes it to her2edge/data/manifest.schema.json."""

import sys

import msgspec

from her2edge.model.manifest import manifest_schema


def schema_bytes() -> bytes:
    """The JSON Schema of manifest.json, sorted and indented."""
    return msgspec.json.format(msgspec.json.encode(manifest_schema(), order="sorted"), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(schema_bytes())
