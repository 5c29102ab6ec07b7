"""Fixtures of adapters on the pocket base, see `tests.train.trained_pocket`."""

from tests.train.trained_pocket import new_pipeline, plain_picture, pocket, trained

__all__ = ["new_pipeline", "plain_picture", "pocket", "trained"]
