"""Puts a model on a target; the numbers stay the same."""
