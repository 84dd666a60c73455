"""Package data: the demonstration model and the manifest's JSON Schema."""
