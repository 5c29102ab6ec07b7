"""The judge held against trials whose truth is known: `python -m benchmarks.judge_trials`."""
