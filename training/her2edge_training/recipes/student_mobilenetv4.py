"""A student: MobileNetV4-Conv-S, for small computers, to be taught by a teacher's answers.

    her2edge distil TEACHER --recipe student_mobilenetv4 --data tiles/cohort.csv --out runs/student
    her2edge train student_mobilenetv4 --data tiles/cohort.csv --out runs/labels    (by labels alone)

TEACHER is a model file or a run. It sees the same crops, so tiles need no labels; take them from the very
scanners of use (docs/student.md). Steps of 24 crops of 256 px from random weights, Adam with warm-up and a
cosine to 0; batch norms then get the statistics of whole tiles.

Cost: an hour on two CPU cores, which the stage's minutes bound; a faster machine takes more steps. Expected:
the table of docs/student.md, which `benchmarks/student.py` makes. Of synthetic tissue it says nothing about
patients.
"""

from her2edge_training.recipe import Recipe, Split, Stage

RECIPE = Recipe(
    name="student_mobilenetv4",
    architecture="mobilenetv4_small",
    stages=(Stage(256, epochs=400, learning_rate=1e-3, batch=24, tiles_per_epoch=480, minutes=60),),
    weights=None,
    dropout=0.2,
    split=Split("slide-grouped", (0.8, 0.1, 0.1)),
    augmentations=("flip", "rotate90"),
    batch_norm_momentum=0.9,
    cosine_warmup=4,
    norm_tiles=160,
)
