"""Which seeds there are: one bound for the command line, plans and the training loop."""

SEED_LIMIT = 2**14
"""Seeds are below it: the loop mixes a seed with the epoch into 31 bits."""
