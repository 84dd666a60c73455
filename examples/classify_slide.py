"""Classify one slide into a folder of results, as `her2edge classify` does. Research use only.

python examples/classify_slide.py case.svs results [--model her2-int8.tflite] [--mpp 0.25]
"""

from __future__ import annotations

import argparse

import her2edge as he


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide")
    parser.add_argument("out")
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--mpp", type=float, help="um per pixel, where the slide does not state it")
    given = parser.parse_args()
    model = he.Model.load(given.model) if given.model else he.Model.demo()
    classifier = he.TileClassifier(model)

    def progress(done: int, total: int) -> None:
        print(f"\r{done} of {total} tiles", end="" if done < total else "\n", flush=True)

    # Interrupted, the same call resumes; complete results are returned as they are.
    run = he.classify_slide(given.slide, given.out, classifier, mpp=given.mpp, progress=progress)
    print(f"{run.name}: {run.answer.status} {' or '.join(run.answer.labels)}")
    for reason in run.answer.reasons:
        print(f"  {reason.sentence}")
    for path in run.files:
        print(path)


if __name__ == "__main__":
    main()
