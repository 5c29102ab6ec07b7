"""Hydra finds the study's sweeper here: it loads sweepers from the package `hydra_plugins` alone."""
