"""Makes her2edge models: synthetic tissue, tiles, networks, recipes, training."""
