"""What the judge measures: `registry` has every metric, `seen` what each is taken from.

The other modules hold pure functions on embeddings and losses, each with its formula and source.

Shapes: N pictures, P prompts, S seeds, D feature width, n training pictures, m held-out pictures, B timestep bins.
All features have unit norm. A statistic that cannot be had (too few pictures, none of a kind) is NaN.
"""
