"""`python -m benchmarks.broken`: LoRAs that are broken on purpose, and what `sweeper eval` says of each.

Each is trained by `sweeper train` on the drawn world, or made of one that is sound: to copy (also what was mirrored,
moved, cropped or recoloured before), to draw one picture whatever is asked, to pass over its prompt, to do nothing, to
be noise, to draw other colours, to act too strongly or too weakly. `sweeper eval` then judges it as a person would have
it judged, with the pictures that it was to learn. Prints a table in Markdown; an hour on one core.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.disguises import DISGUISES
from benchmarks.judge_trials.sets import TrialSet
from foundation.adapters.files.part import WEIGHTS_FILE
from foundation.data.folder import read_folder

SOUND: Final = ("adapter.rank=16", "adapter.targets=attention+ff", "optimizer.lr=1e-3", "train.steps=200")
BY_HEART: Final = (
    "adapter.rank=64",
    "adapter.targets=all",
    "optimizer.lr=2e-3",
    "train.steps=1000",
    "train.batch_size=5",
)
"""How `FEW` pictures come to be drawn again, place by place, whatever the seed; a smaller LoRA did not do so."""
FEW: Final = 5
"""Pictures that are learned by heart."""
_BY_EDGES: Final = ("recoloured", "grey")

_HARM: Final = "farther from the style|differ|prompt match down|drifted"
"""What is said of pictures that are broken in no way of its own."""

Pictures = list[tuple[Image.Image, str]]
"""With their captions."""


@dataclass(frozen=True, slots=True)
class Breakage:
    """One way to break a LoRA."""

    name: str
    verdict: str
    """What must be said of it: an expression to be found in the verdict."""
    pictures: Callable[[Pictures, np.random.Generator], Pictures] | None = None
    """What it is trained on in place of the set; None: nothing, it is made of the sound one."""
    weights: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda weights: weights
    """What becomes of its weights."""
    few: bool = False
    """Whether the set that it is judged by has `FEW` pictures, and it is trained for long."""


def main() -> None:
    """Break, judge and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.broken", description=__doc__)
    parser.add_argument("--style", default="engraving")
    parser.add_argument("--only", nargs="+", help="names of breakages")
    parser.add_argument("--folder", type=Path, help="where LoRAs are kept; those that are there are not trained again")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp())
    whole = TrialSet(arguments.style, arguments.style, 24, seed=31)
    few = TrialSet(f"{arguments.style}-few", arguments.style, FEW, seed=32)
    print("| broken how | score | style | verdict | named |\n| --- | ---: | ---: | --- | --- |")
    for each in breakages():
        if arguments.only and each.name not in arguments.only:
            continue
        own = few if each.few else whole
        lora = _made(each, own, whole, folder)
        score, style, verdict = _judgement(lora, own, folder)
        named = "yes" if re.search(each.verdict, verdict) else "NO"
        print(f"| {each.name} | {score:.1f} | {style:.2f} | {verdict} | {named} |", flush=True)


def breakages() -> list[Breakage]:
    """All of them, the sound LoRA first."""
    return [
        Breakage("sound", "^good", pictures=lambda pictures, _: pictures),
        Breakage("untrained", "^too weak", weights=lambda own: _times(own, 0.0)),
        Breakage("too weak: at a tenth", "^(too weak|underfit)", weights=lambda own: _times(own, 0.1)),
        Breakage("too strong: three times", _HARM, weights=lambda own: _times(own, 3.0)),
        Breakage("noise on its weights", _HARM, weights=_noisy),
        Breakage("other colours", f"{_HARM}|% of the way to the style", pictures=_recoloured),
        Breakage("passes over its prompt", "prompt match down", pictures=_shuffled),
        Breakage("one picture whatever is asked", "differ", pictures=_one),
        *(
            Breakage(f"by heart: {name}", rf"copies in .*{_said(name)}", pictures=_disguise(name), few=True)
            for name in DISGUISES
        ),
    ]


def _said(name: str) -> str:
    """How the judge calls a disguise."""
    return "in its edges alone" if name in _BY_EDGES else name


def _times(weights: dict[str, Tensor], strength: float) -> dict[str, Tensor]:
    return {name: each * strength if _is_output(name) else each for name, each in weights.items()}


def _is_output(name: str) -> bool:
    return "lora_B" in name or "lora.up" in name or "lora_up" in name


def _noisy(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: each + 8 * each.std() * torch.randn(each.shape, generator=generator) if _is_output(name) else each
        for name, each in weights.items()
    }


def _recoloured(pictures: Pictures, _: np.random.Generator) -> Pictures:
    """Red for green, green for blue, blue for red: what captions say of colours is false."""
    return [(Image.merge("RGB", image.split()[1:] + image.split()[:1]), caption) for image, caption in pictures]


def _shuffled(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    """No picture has its own caption, over and over: nothing can be learned of them but that they say nothing."""
    return [
        (image, pictures[(number + shift) % len(pictures)][1])
        for shift in rng.permutation(len(pictures) - 1)[:8] + 1
        for number, (image, _) in enumerate(pictures)
    ]


def _one(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    """The first, with a little noise: the same file again and again counts once."""
    levels = np.asarray(pictures[0][0], dtype=np.int16)
    noise = rng.integers(-3, 4, size=(len(pictures), *levels.shape))
    alike = [Image.fromarray((levels + each).clip(0, 255).astype(np.uint8)) for each in noise]
    return [(image, caption) for image, (_, caption) in zip(alike, pictures, strict=True)]


def _disguise(name: str) -> Callable[[Pictures, np.random.Generator], Pictures]:
    return lambda pictures, rng: [(DISGUISES[name](image, rng), caption) for image, caption in pictures]


def _made(breakage: Breakage, own: TrialSet, whole: TrialSet, folder: Path) -> Path:
    """The file of the broken LoRA, trained or made where it is not there."""
    out = folder / re.sub(r"\W+", "-", f"{own.style} {breakage.name}")
    file = out / "lora" / WEIGHTS_FILE
    if file.exists():
        return file
    if breakage.pictures is None:
        file.parent.mkdir(parents=True)
        save_file(breakage.weights(load_file(_made(breakages()[0], whole, whole, folder))), file)
        return file
    learned, pictures = folder / f"{out.name}-pictures", own.write(folder / "sets")
    _write(breakage.pictures(_read(pictures / "train"), np.random.default_rng(0)), learned)
    settings = [
        *(BY_HEART if breakage.few else SOUND),
        "optimizer=adamw8bit",
        f"data.validation_path={pictures / 'validation'}",
        "data.find_copies=false",
        f"data.trigger='{own.trigger}'",
    ]
    _run(["train", f"data.path={learned}", *settings, f"out={out}"])
    return file


def _read(folder: Path) -> Pictures:
    pictures, _ = read_folder(folder, where=str(folder))
    return [(picture.open(), picture.caption) for picture in pictures]


def _write(pictures: Pictures, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, (image, caption) in enumerate(pictures):
        image.save(folder / f"{number:03}.png")
        (folder / f"{number:03}.txt").write_text(caption)


def _judgement(lora: Path, own: TrialSet, folder: Path) -> tuple[float, float, str]:
    """Score, style fidelity and the verdict as it was printed."""
    pictures, file = own.write(folder / "sets"), lora.with_name("judged.json")
    printed = _run(
        [
            "eval",
            f"lora={lora}",
            f"data={pictures / 'train'}",
            f"held_out={pictures / 'validation'}",
            f"trigger={own.trigger}",
            "steps=5",
            "sampler=dpm++",
            "seeds=2",
            "unrelated=a red ball on grass, in photo style",
            "unrelated=a green star left of a pink heart in the sky, in photo style",
            f"json={file}",
        ]
    )
    [verdict] = [line.removeprefix("verdict: ") for line in printed.splitlines() if line.startswith("verdict: ")]
    found = json.loads(file.read_text())
    return found["score"], found["metrics"]["style"], verdict


def _run(arguments: Sequence[str]) -> str:
    done = subprocess.run([sys.executable, "-m", "sweeper", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"sweeper {' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
