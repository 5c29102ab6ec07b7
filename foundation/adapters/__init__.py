"""Adapters apart from training: their files, files for other programs, and what can be done with them."""
