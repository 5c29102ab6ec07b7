"""The study: composes, searches, trains, judges, tracks, and leaves one best checkpoint."""
