"""The fields of a recipe in words. A test holds them against the types: none is missing, none is too many."""

from __future__ import annotations

from dataclasses import dataclass

from her2edge_training.recipe import Plateau, Recipe, Split, Stage, Stain

NOT_GIVEN = "not given"
OURS = ""  # nothing that a paper would state


@dataclass(frozen=True)
class Said:
    """text: what a field means. paper: what Joshi et al. 2025 state, "not given", or OURS."""

    text: str
    paper: str = OURS


RECIPE = {
    "name": Said("What the run, the model file and the evaluation call it."),
    "architecture": Said(
        "se_resnet50 (the paper's proposal), resnet50, efficientnetb0, inceptionv3; mobilenetv4_small: a "
        "student.",
        "Table II, the first four",
    ),
    "stages": Said("One Stage or more, each with the weights of the one before.", "one"),
    "seed": Said("Of the split, the first weights, the order of tiles and their augmentation.", NOT_GIVEN),
    "weights": Said(
        'None (random), "imagenet" (the file where Keras keeps it) or the path of a no-top .h5 file.',
        "ImageNet",
    ),
    "weights_sha256": Said("Hex digest that a file of `weights` must have; None: any. The run records it."),
    "se_ratio": Said(
        "Squeeze-and-excitation: its inner layer has the channels divided by this (se_resnet50).", NOT_GIVEN
    ),
    "separable_filters": Said("Filters of the depth-wise separable convolution (se_resnet50).", NOT_GIVEN),
    "dense_units": Said("Units of the fully connected layer.", NOT_GIVEN),
    "dropout": Said("Share of its units that are left out in training, 0..0.999.", "50 %"),
    "labels": Said(
        "Two to four, in the order of severity, 16 characters each at most. The model file, tables and pages "
        "take them from here. 0 and 1+ are one class unless `her2_low` says how they are told apart.",
        "0/1+, 2+, 3+",
    ),
    "mpp": Said("Scale of the tiles, um per pixel.", "0.25"),
    "tile_px": Said("Side of the tiles that the finished model reads, pixels.", "512"),
    "split": Said("Which tiles train, choose the best epoch and are scored.", "by tile"),
    "stain": Said("What is done to the stains of a tile before a network sees it.", "Macenko, per tile"),
    "max_background_share": Said(
        "Tiles with at least this share of grey 180..255 are left out, 0..1; the model file keeps it.", "60 %"
    ),
    "max_unreadable_share": Said(
        "Tiles that cannot be read are left out up to this share, then refused, 0..1."
    ),
    "classes": Said(
        "(class, label) pairs: what classes of annotations stand for when `her2edge tiles` cuts. CLASSES: "
        "those that are named like the labels."
    ),
    "augmentations": Said('Any of "flip", "rotate90": tissue has no up.', "none stated"),
    "stain_jitter": Said(
        "The concentration of each stain varies by up to this share, 0..0.9; needs normalised tiles.",
        "none stated",
    ),
    "plateau": Said("When the learning rate is lowered.", "ReduceLROnPlateau on accuracy"),
    "batch_norm_momentum": Said(
        "How slowly moving statistics follow, 0..1; None: Keras' 0.99, which needs some 500 steps.", NOT_GIVEN
    ),
    "precision": Said(
        "What layers compute in while training: float32, mixed_bfloat16 (TPU, newer GPUs) or mixed_float16 "
        "(older GPUs). Weights, logits and the finished network are float32.",
        NOT_GIVEN,
    ),
    "class_weights": Said(
        '"balanced": a tile counts in the loss by n / (classes x tiles of its class), so that classes count '
        "alike; the log's training figures too. None: every tile counts 1.",
        "none stated",
    ),
    "her2_low": Said(
        "LowDefinition(definition=..., shown_on=...) of her2edge.model.classes: needed where a label is "
        "called low or tells 0 from 1+; it stands in the model file and its card."
    ),
    "cosine_warmup": Said(
        "The learning rate of a stage rises for this many epochs, then falls along half a cosine to 0, which "
        "it reaches when the epochs or the minutes end, whichever is first; the stage's last weights are its "
        "result, not those of its best epoch. None: as `plateau` says.",
        "none stated",
    ),
    "norm_tiles": Said(
        "At the end, batch norms get the statistics of this many whole training tiles (Wu and Johnson 2021, "
        "arXiv 2105.07576); those kept in training are of crops, the last steps' most. None: they stay.",
        NOT_GIVEN,
    ),
}
STAGE = {
    "tile_px": Said(
        "Side of the crops the network sees, pixels; of the recipe's tile_px: whole tiles.", "512"
    ),
    "epochs": Said("The most passes over the tiles.", "25"),
    "learning_rate": Said("Adam's at the start of the stage.", "1e-4"),
    "batch": Said("Crops in a step.", "16"),
    "crops_per_tile": Said("Random crops of one decoded tile in the same batch; divides it.", OURS),
    "tiles_per_epoch": Said("How many training tiles are chosen afresh for each epoch; None: all."),
    "minutes": Said("The stage ends after the epoch in which it has taken so long; None: never."),
    "frozen_backbone": Said(
        "Train only what is behind the backbone; its weights and statistics stay as they are.", "none stated"
    ),
}
SPLIT = {
    "protocol": Said(
        '"slide-grouped": no patient or slide in two parts. "tile-random": the paper\'s, which flatters. '
        '"site-held-out": slide-grouped, the test part being all tiles of one site.',
        "by tile; whether each class in the same shares (ours: yes) is not given",
    ),
    "fractions": Said("(train, validation, test), shares of the tiles that sum to 1.", "60 / 20 / 20"),
    "fold": Said("(i, k), slide-grouped: the test part is the i-th of k folds, from 0. `study` sets it."),
    "site": Said("site-held-out: which. `study` sets it."),
}
STAIN = {
    "mode": Said(
        "PER_TILE: Macenko's method on each whole tile, as the SDK does; OFF: the tile's own.", "Macenko"
    ),
    "profile": Said(
        "Whose convention and target; a model file holds torchstain's only.",
        "the reference tile is not given",
    ),
}
PLATEAU = {
    "factor": Said("The learning rate is multiplied by this ...", "0.5"),
    "patience": Said("... after this number of epochs without a better validation accuracy ...", NOT_GIVEN),
    "minimum": Said("... down to this.", "1e-7"),
}

FIELDS: dict[type, dict[str, Said]] = {
    Recipe: RECIPE,
    Stage: STAGE,
    Split: SPLIT,
    Stain: STAIN,
    Plateau: PLATEAU,
}
FIELD_NAMES = tuple(sorted({name for fields in FIELDS.values() for name in fields}))
