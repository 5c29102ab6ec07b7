"""`python -m benchmarks.curves STUDY_FOLDER OUT.png [parameter]`: a study's trials, step by step, as a picture.

Three panels over the steps: validation loss as a ratio to the base's, score, and overfit index; one line a trial, named
by one of its parameters.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import yaml

from sweeper.records.paths import trials_of

PANELS = (("val_ratio", "validation loss / base's"), ("score", "score"), ("overfit_index", "overfit index"))


def main() -> None:
    """Read the folder, write the picture."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    parameter = sys.argv[3] if len(sys.argv) > 3 else "optimizer.lr"
    figure, axes = plt.subplots(1, len(PANELS), figsize=(12, 3.4), layout="constrained")
    judged = [trial for trial in sorted(trials_of(folder).iterdir()) if (trial / "evaluations.jsonl").exists()]
    for trial in judged:
        value = yaml.safe_load((trial / "config.yaml").read_text())
        for part in parameter.split("."):
            value = value[part]
        points = [json.loads(line) for line in (trial / "evaluations.jsonl").read_text().splitlines()]
        steps = [point["step"] for point in points]
        for axis, (name, _) in zip(axes, PANELS, strict=True):
            values = [point[name] if name in point else point["metrics"][name] for point in points]
            axis.plot(steps, values, marker=".", label=f"{value:g}" if isinstance(value, float) else str(value))
    for axis, (_, title) in zip(axes, PANELS, strict=True):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    axes[0].legend(title=parameter, fontsize=8)
    figure.savefig(out, dpi=90)


if __name__ == "__main__":
    main()
