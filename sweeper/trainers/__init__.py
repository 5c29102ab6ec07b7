"""Configs of other trainers, read as ours and written from ours: one table a trainer, and all else follows from it."""
