"""The pocket base: a small drawn world, and the models that were trained on it."""
