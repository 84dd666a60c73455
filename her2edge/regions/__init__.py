"""Regions drawn in QuPath: read from GeoJSON, and which tiles of a slide lie in them (extra `regions`)."""
