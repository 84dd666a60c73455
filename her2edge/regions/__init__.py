"""Regions drawn in QuPath: read from GeoJSON, and which tiles of a slide lie in them (extra `regions`).

Without the extra there are `Regions` and the records; `choose`, `annotations` and `inside` need shapely.
"""

from her2edge.regions.options import RegionPlaces, Regions, RegionsRead

__all__ = ["RegionPlaces", "Regions", "RegionsRead"]
