"""Recipes: one Python file per published result. Its docstring gives command, cost and expected result."""
