"""Makes pictures of this folder again: a demo slide beside its class map, its page, a table of three slides.

.venv/bin/python docs/pictures/make.py        (Chromium must be installed; a minute or two)
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from her2edge.model.classes import PAPER_CLASSES

HERE = Path(__file__).parent
MOST = 400_000  # bytes of a picture
SIDE, GAP = 640, 12  # width of each half of the slide beside its map, and between them, pixels
SLIDES = (("3+", "5"), ("2+", "3"), ("0/1+", "4"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="Default: this folder.")
    to = parser.parse_args().out
    to.mkdir(parents=True, exist_ok=True)
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise SystemExit("found no Chromium, which draws the pages")
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "her2edge-demo"
        for label, seed in SLIDES:
            her2edge("demo", "--out", out, "--label", label, "--seed", seed)
        slides = out.rename(Path(place) / "slides")
        results = Path(place) / "demo"
        results.mkdir()
        for folder in sorted(path for path in slides.iterdir() if path.is_dir()):
            folder.rename(results / folder.name)
        scores = [
            f"{path.name},{label}" for path in sorted(slides.glob("*.png")) for label in [score_of(path.name)]
        ]
        cohort = slides / "cohort.csv"
        cohort.write_text("\n".join(["slide,score", *scores, "not-scanned-yet.svs,1+"]) + "\n")
        her2edge("report", results, "--slide", slides, "--cohort", cohort, may_be=3)
        page = next(results.glob("synthetic-3p-5.png-*/report.html"))
        beside(slides / "synthetic-3p-5.png", page.parent / "heatmap.png", to / "slide-and-map.png")
        shoot(browser, page, to / "report.png", 1120, 2400, Path(place))
        shoot(browser, results / "index.html", to / "index.png", 1240, 800, Path(place))


def score_of(name: str) -> str:
    """The class that the demo's slide was drawn of."""
    return name.split("-", 1)[1].rsplit("-", 1)[0].replace("p", "+").replace("-", "/")


def her2edge(*arguments: object, may_be: int = 0) -> None:
    """Run the command; may_be: the exit code that is expected."""
    code = subprocess.run([sys.executable, "-m", "her2edge_cli", *map(str, arguments)]).returncode
    if code != may_be:
        raise SystemExit(f"her2edge {arguments[0]} ended with {code}")


def shoot(browser: str, page: Path, picture: Path, width: int, height: int, place: Path) -> None:
    """The top of a page as PNG, small enough for a document."""
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={place / 'profile'}", f"--window-size={width},{height}"]
    full = place / picture.name
    subprocess.run([*command, f"--screenshot={full}", page.as_uri()], check=True, capture_output=True)
    with Image.open(full) as image:
        keep(image.convert("RGB"), picture)


def beside(slide: Path, heatmap: Path, picture: Path) -> None:
    """A slide and its class map without the legend, at one scale, as PNG."""
    with Image.open(slide) as image:
        height = round(SIDE * image.height / image.width)
        left = image.convert("RGB").resize((SIDE, height), Image.Resampling.LANCZOS)
    with Image.open(heatmap) as image:
        tall = round(image.width * height / SIDE)  # what is below is the legend
        right = image.convert("RGB").crop((0, 0, image.width, tall))
    both = Image.new("RGB", (2 * SIDE + GAP, height), "white")
    both.paste(left, (0, 0))
    both.paste(right.resize((SIDE, height), Image.Resampling.LANCZOS), (SIDE + GAP, 0))
    keep(both, picture)


def keep(pixels: Image.Image, picture: Path) -> None:
    """The pixels as PNG, made smaller until a document can carry them."""
    for share in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5):
        size = round(pixels.width * share), round(pixels.height * share)
        few_colours(pixels.resize(size, Image.Resampling.LANCZOS)).save(picture, optimize=True)
        if picture.stat().st_size <= MOST:
            break
    print(f"{picture.name}: {picture.stat().st_size:,} bytes")


def few_colours(picture: Image.Image) -> Image.Image:
    """256 at most; among them are greys and the colours of classes, however few pixels have them."""
    greys = [(grey, grey, grey) for grey in range(16, 256, 16)]
    fixed = [*(one.color for one in PAPER_CLASSES), *greys]
    most = picture.quantize(256 - len(fixed)).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*most[: 3 * (256 - len(fixed))], *(value for colour in fixed for value in colour)])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
