"""A cohort on its way to training: annotations, tiles cut from slides, the tile list, splits, batches."""
