"""The demo's network from another seed and for a third of the time: what quantising does to another network.

    her2edge train twin_se_resnet50 --data data/demo/cohort.csv --out runs/twin

Another seed is another split, other first weights and other crops. It is less sure of its tiles than the demo
model, so the gate has more to see.

Cost: twenty minutes on two CPU cores, which the stages' minutes bound. Expected: the table in
quantize/README.md; it says nothing about patients.
"""

from msgspec.structs import replace

from her2edge_training.recipes import demo_se_resnet50

_FIRST, _SECOND = demo_se_resnet50.RECIPE.stages[:2]
RECIPE = replace(
    demo_se_resnet50.RECIPE,
    name="twin_se_resnet50",
    seed=2,
    stages=(replace(_FIRST, minutes=9), replace(_SECOND, minutes=8)),
)
