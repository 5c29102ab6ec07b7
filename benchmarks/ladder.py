"""Which learning rate is best after so many steps? Ladders of trainings side by side, by their validation losses.

    python -m benchmarks.ladder [steps=160] [batch=4] [set ...]

Rank 16, alpha 16, attention layers, a flat rate, on drawn styles that the embedded base never saw. Prints each rate's
validation loss over the base's own after a tenth, a fifth, two fifths and all of the steps, and how the best rate goes
with them: docs/search.md.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch

from sweeper.search.dimension import Numbers, Params
from sweeper.search.probe import lowest
from sweeper.search.space import plan
from sweeper.study.run import prepare
from sweeper.worker.judging import Judging
from sweeper.worker.loading import load
from train.pack import Pack
from train.spec import LrSchedulerSpec

RUNGS: Final = 9
BEYOND: Final = 4.0
SHARES: Final = (0.1, 0.2, 0.4, 1.0)


def main(words: Sequence[str]) -> int:
    """Run the ladders of all sets and optimizers."""
    given = dict(word.split("=") for word in words if "=" in word)
    torch.set_num_threads(1)
    steps, batch = int(given.get("steps", 160)), int(given.get("batch", 4))
    best: dict[int, list[float]] = {}
    for chosen in [word for word in words if "=" not in word] or ["pencil"]:
        with TemporaryDirectory() as folder:
            for optimizer in ("adamw8bit", "lion"):
                found = _ladder(chosen, optimizer, steps, batch, Path(folder))
                for look, rate in found.items():
                    best.setdefault(look, []).append(rate / found[steps])
    for look, ratios in best.items():
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"after {look} steps the best rate is {mean:.2f} times that of {steps}")
    return 0


def _ladder(chosen: str, optimizer: str, steps: int, batch: int, folder: Path) -> Mapping[int, float]:
    """The best rate after each number of steps."""
    overrides = [
        f"data.drawn={chosen}",
        f"study.folder={folder}",
        f"train.batch_size={batch}",
        "launcher.devices=[cpu]",
    ]
    request = plan(["+experiment=pencil", *overrides])
    config, _ = prepare(request)
    loaded = load(config, "cpu", request.objectives, folder / "cache", lambda: None)
    name = f"optimizer={optimizer}:layer_lr"
    domain = next(each.domain for each in request.space.dimensions if each.name == name)
    assert isinstance(domain, Numbers)
    apart = (domain.high / domain.low * BEYOND**2) ** (1 / (RUNGS - 1))
    rates = [domain.low / BEYOND * apart**rung for rung in range(RUNGS)]
    pack = Pack(loaded.base, loaded.data, RUNGS)
    judging = Judging(pack, loaded.dataset, loaded.data, config.eval, config.data.trigger, folder / "cache")
    slots = []
    for rate in rates:
        point: Params = {"optimizer": optimizer, "adapter.rank": 16, "adapter.targets": "attention"}
        own: Params = {
            "adapter.alpha_ratio": 1,
            "lr_scheduler": "constant",
            name: rate,
            f"optimizer={optimizer}:weight_decay": 0.05,
        }
        spec = request.trial({**point, **own}).trial
        train = replace(spec.train, steps=steps)
        slots.append(pack.admit(replace(spec, train=train, lr_scheduler=LrSchedulerSpec(name="constant"))))
    base, best = judging.losses_of_base(), dict[int, float]()
    for look in [max(1, round(share * steps)) for share in SHARES]:
        while pack.steps_done(slots[0]) < look:
            pack.step()
        losses = judging.validate(slots).double().mean(2).tolist()
        best[look] = lowest(rates, losses)
        ratios = " ".join(f"{sum(own) / sum(base):.3f}" for own in losses)
        print(f"{chosen} {optimizer} {look:4}: {ratios}, best {best[look]:.2g}", flush=True)
    print(f"{chosen} {optimizer} rates {' '.join(f'{rate:.2g}' for rate in rates)}", flush=True)
    return best


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
