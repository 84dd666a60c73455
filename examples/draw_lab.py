"""Draw a small laboratory of synthetic tissue, for examples/journey.sh. Research use only.

python examples/draw_lab.py lab
"""

from __future__ import annotations

import sys
from pathlib import Path

from her2edge.slide import encode_png
from her2edge_training.synthetic import make_cohort, make_slide_image, make_tile

MPP, TILE, SLIDE = 0.25, 64, (640, 512)  # um per pixel; pixels


def main() -> None:
    lab = Path(sys.argv[1])
    for patient in make_cohort(18, seed=1):  # class folders of tiles; before the first _ stands the patient
        folder = lab / "tiles" / patient.label.replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(4):
            tile = make_tile(patient, number, TILE, MPP)
            (folder / f"{patient.patient}_{number}.png").write_bytes(encode_png(tile.pixels))
    draw_slides(lab / "known", 27, seed=2)  # other patients, nine of each score
    draw_slides(lab / "other", 60, seed=3)  # others again; of these nobody needs the score


def draw_slides(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["slide,patient,site,score,mpp"]
    for one in make_cohort(count, seed=seed):
        (folder / f"{one.name}.png").write_bytes(encode_png(make_slide_image(one, *SLIDE, MPP).pixels))
        rows.append(f"{one.name}.png,{one.patient},{one.site.name},{one.label},{MPP}")
    (folder / "slides.csv").write_text("\n".join(rows))


if __name__ == "__main__":
    main()
