"""Fixtures of adapters on the pocket base, see `tests.train.trained`."""

from tests.train.trained import new_pipeline, plain_picture, pocket, trained

__all__ = ["new_pipeline", "plain_picture", "pocket", "trained"]
