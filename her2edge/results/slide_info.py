"""SlideInfo: the slide as its file states it and as its tiles were laid out."""

from __future__ import annotations

import msgspec

from her2edge.slide import SlideReader, TileSpec


class SlideInfo(msgspec.Struct, frozen=True):
    """The slide as it was read. mpp: um per pixel of level 0.

    width, height and step are level-0 pixels, columns and rows count tiles; None for a folder of tiles.
    scanner: maker and model, None where the file does not state them. site: where the slide is from, as
    whoever had it read said; None: not said. icc_profile: the name of the embedded colour profile, True for
    one without a name, False for none, None for a folder; it is not applied.
    """

    name: str
    fingerprint: str
    mpp: float | None = msgspec.field(default=None, name="um_per_pixel")
    width: int | None = None
    height: int | None = None
    step: float | None = None
    columns: int | None = None
    rows: int | None = None
    upsampled: bool = False
    scanner: str | None = None
    icc_profile: str | bool | None = None
    site: str | None = None

    @classmethod
    def of(cls, slide: SlideReader, spec: TileSpec, site: str | None = None) -> SlideInfo:
        """An open slide, in tiles of `spec`: a Model or a TileSize. Raises what `SlideReader.grid` raises."""
        if slide.is_folder or slide.dimensions is None:
            return cls(slide.name, slide.fingerprint, slide.mpp, site=site)
        grid = slide.grid(spec)
        width, height = slide.dimensions
        return cls(
            name=slide.name,
            fingerprint=slide.fingerprint,
            mpp=slide.mpp,
            width=width,
            height=height,
            step=grid.step,
            columns=grid.columns,
            rows=grid.rows,
            upsampled=grid.upsampled,
            scanner=slide.scanner,
            icc_profile=slide.icc_profile,
            site=site,
        )
