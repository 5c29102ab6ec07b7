"""The study: composes, searches, trains, judges, tracks, and leaves one best checkpoint."""

__version__ = "0.2.0"
