"""Slides, plain images and folders of tiles, read tile by tile at the model's scale."""

from her2edge.slide.contents import FolderContents, is_slide, look_into
from her2edge.slide.fingerprint import Evidence, fingerprint_slide
from her2edge.slide.folder import list_images
from her2edge.slide.frame import tiles_of
from her2edge.slide.glass import GlassMap
from her2edge.slide.grid import Grid, TileSize, TileSpec
from her2edge.slide.images import encode_png, read_image
from her2edge.slide.parts import slides_in
from her2edge.slide.reader import SlideReader
from her2edge.slide.sources import SLIDE_FORMATS, SLIDE_SUFFIXES
from her2edge.tile import UnreadableTile

__all__ = [
    "SLIDE_FORMATS",
    "SLIDE_SUFFIXES",
    "Evidence",
    "FolderContents",
    "GlassMap",
    "Grid",
    "SlideReader",
    "TileSize",
    "TileSpec",
    "UnreadableTile",
    "encode_png",
    "fingerprint_slide",
    "is_slide",
    "list_images",
    "look_into",
    "read_image",
    "slides_in",
    "tiles_of",
]
