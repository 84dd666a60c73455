"""A training run: its folder, its epochs, how it goes on, how it ends."""
