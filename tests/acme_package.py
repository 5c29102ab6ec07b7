"""The package of docs/extending.md, as pip leaves it in a folder: modules, YAML, and entry points in its metadata."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

NAME: Final = "acme_sweeper"
PAGE: Final = Path(__file__).parents[1] / "docs" / "extending.md"
WRONG: Final = """
[sweeper.optimizers]
adamw = acme_sweeper.optimizers:SIGNS
broken = acme_sweeper.broken:SIGNS
odd = acme_sweeper.optimizers:Signs

[sweeper.metrics]
broken = acme_sweeper.broken:METRIC
late = acme_sweeper.wrong:LATE
fall = acme_sweeper.metrics:NEAREST
raises = acme_sweeper.wrong:RAISES
talks = acme_sweeper.wrong:TALKS
spoils = acme_sweeper.wrong:SPOILS

[sweeper.launchers]
broken = acme_sweeper.broken:Launcher

[sweeper.trackers]
broken = acme_sweeper.broken:Tracker

[sweeper.families]
broken = acme_sweeper.broken:FAMILY
"""
"""Entry points that a package should not have: of a name of ours, that cannot be imported, of another kind …"""
MODULES: Final = {
    "__init__": "",
    "broken": "import acme_is_not_there\n",
    "wrong": """
from eval.metrics.registry import Metric


def spoils(seen):
    for view in (seen.clip, seen.images, seen.style, seen.compositions):
        view.samples.zero_()
    seen.validation_losses.zero_()
    seen.history[:] = []
    return seen.prompts.sum()  # a tensor of one number


LATE = Metric(direction="minimize", description="", compute="acme_sweeper.broken:late")
RAISES = Metric(direction="minimize", description="", compute=lambda seen: 1 / 0)
TALKS = Metric(description="", compute=lambda seen: "0.5")
SPOILS = Metric(description="", compute=spoils)
""",
}
"""Modules that are in no example."""


def examples() -> dict[str, str]:
    """File to text, by the comment that each example of a file begins with."""
    return dict(re.findall(r"```\w+\n# ([\w./]+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))


def install_acme(folder: Path, wrong: bool = False) -> Path:
    """Put the package into a folder, which then is to be on Python's path; the folder."""
    texts = {name: text for name, text in examples().items() if name.startswith(f"{NAME}/")}
    for name, text in {**texts, **{f"{NAME}/{name}.py": text for name, text in MODULES.items()}}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    points = tomllib.loads(examples()["pyproject.toml"])["project"]["entry-points"]
    lines = [
        line for group, names in points.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in names.items()))
    ]
    for number, text in enumerate(["\n".join(lines), *([WRONG] if wrong else [])]):
        name = "acme-sweeper" if number == 0 else "acme-wrong"
        metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(text)
    return folder
