"""Studies from Python: `run.run_study` and `study.open_study`, which `import sweeper` offers by name."""
