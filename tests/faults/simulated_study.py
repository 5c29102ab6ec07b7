"""A study whose training and judging are arithmetic: everything else is the real thing.

The supervisor, Optuna, MLflow, the worker's loop, its process and pipe, and every file that they write are those of
any study. Only the base, the pack and the judge are played, so that a study takes seconds and always says the same.
"""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

import sweeper.launchers.local as local
import sweeper.launchers.process as process
import sweeper.worker.worker as worker
import sweeper.worker.worker_main as serving
from eval.evaluation import Evaluation
from eval.spec import EvalSpec
from foundation.adapters.files import WEIGHTS_FILE
from foundation.data.spec import Views
from foundation.errors import AdapterError
from foundation.files.cache_use import mark_used
from foundation.files.durable import new_folder, write_bytes
from sweeper.records.lease import making
from sweeper.records.messages import Draw
from sweeper.worker.drawing import Drawn, write_pictures
from sweeper.worker.judging import Due
from tests.sweeper import fake_supervisor
from train.reports import StepReport
from train.spec import TrialSpec

_METRICS = ("style", "prompt_match", "prompt_kept", "copy_rate", "diversity", "drift", "val_ratio", "cmmd", "kid")


def chance(*words: object) -> float:
    """A number from 0 to 1 that hangs on the words alone."""
    return int(hashlib.sha256(repr(words).encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


class Pack(fake_supervisor.Pack):
    """What a slot has learned is a tensor that tells its trial and its step; its state is one that tells the step."""

    at_once = 8

    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.specs: dict[int, TrialSpec] = {}

    def admit(self, spec: TrialSpec, resume_from: Path | None = None, data: object = None) -> int:
        slot = next(number for number in range(99) if number not in self.specs)
        self.steps[slot] = _step_of(resume_from) if resume_from else 0
        self.specs[slot], self.last[slot] = spec, spec.train.last_step
        return slot

    def spec(self, slot: int) -> TrialSpec:
        return self.specs[slot]

    def report(self, slot: int) -> StepReport:
        step = self.steps[slot]
        loss = 1 / (1 + step) + chance(lr_of(self.specs[slot]))
        return StepReport(slot=slot, step=step, loss=loss, lr=1e-3, grad_norm=1.0)

    def release(self, slot: int) -> None:
        super().release(slot)
        del self.specs[slot]

    def save_adapter(self, slot: int, folder: Path) -> None:
        layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
        told = torch.tensor([[lr_of(self.specs[slot]), float(self.steps[slot])]])
        tensors = {f"{layer}.lora_A.weight": told, f"{layer}.lora_B.weight": told.T.clone().contiguous()}
        write_bytes(folder / WEIGHTS_FILE, safetensors.torch.save(tensors, {"format": "pt"}))

    def save_state(self, slot: int, folder: Path) -> None:
        with new_folder(folder) as fresh:
            safetensors.torch.save_file({"step": torch.tensor(self.steps[slot])}, fresh / "state.safetensors")


def _step_of(state: Path) -> int:
    try:
        return int(safetensors.torch.load_file(state / "state.safetensors")["step"])
    except (OSError, safetensors.SafetensorError) as error:
        raise AdapterError(f"{state} is damaged") from error


def lr_of(spec: TrialSpec) -> float:
    """What tells one training from another: its rate, moved a little by its seed."""
    return float(getattr(spec.optimizer, "lr", None) or 1.0) * (1 + spec.train.seed / 8)


class Judging(fake_supervisor.Judge):
    """Says of every checkpoint what its rate and its step come to."""

    def __init__(
        self, pack: Pack, dataset: object, data: object, spec: EvalSpec, trigger: str, cache: Path, *_: Any
    ) -> None:
        self._pack, self._spec, self._cache = pack, spec, cache
        self.reference(spec)

    def base_pictures(self, spec: EvalSpec) -> Path:
        return self._cache / f"base-{len(spec.prompts)}-{'-'.join(map(str, spec.seeds))}"

    def judge(self, due: Sequence[Due]) -> list[Evaluation]:
        for each in due:
            _draw(each.pictures, self._spec, lr_of(self._pack.spec(each.slot)), each.step)
        return [self._evaluation(lr_of(self._pack.spec(each.slot)), each.step) for each in due]

    def judge_file(
        self, checkpoint: Path, step: int, folder: Path, seeds: tuple[int, ...], strength: float = 1.0
    ) -> Evaluation:
        (told,) = (value for name, value in _read(checkpoint).items() if "lora_A" in name)
        _draw(folder, self._spec.for_finalists(seeds), float(told[0, 0]), step, strength)
        return self._evaluation(float(told[0, 0]), step, strength)

    def draw_file(self, wanted: Draw) -> None:
        _draw(wanted.out, self._spec.for_finalists((wanted.seed,)), sorted(_read(wanted.checkpoint)), wanted.strength)

    def reference(self, spec: EvalSpec) -> None:
        with making(mark_used(self.base_pictures(spec)), lambda: None):
            if not self.base_pictures(spec).exists():
                _draw(self.base_pictures(spec), spec, "base")

    def judge_base(self, spec: EvalSpec) -> Evaluation:
        self.reference(spec)
        return self._evaluation(0.0, 0, 0.0)

    def validate(self, slots: Sequence[int]) -> Tensor:
        return torch.full((len(slots), 3, 1), 0.5)

    def _evaluation(self, lr: float, step: int, strength: float = 1.0) -> Evaluation:
        score = 60 * math.exp(-((math.log10(max(lr, 1e-9)) + 3) ** 2)) * math.tanh(step) * strength
        return Evaluation(
            step=step,
            score=score + chance(lr, step, strength),
            score_se=1.0,
            overfit_index=0.1,
            overfit=False,
            words="no sign of overfit",
            severities={"val_rise": 0.0},
            metrics={name: chance(name, lr, step, strength) for name in _METRICS},
            validation_losses=(0.5, 0.5, 0.5),
            prompt_aims=(0.5,) * len(self._spec.prompts),
            prompt_scores=tuple(score + chance(lr, step, strength, n) for n in range(len(self._spec.prompts))),
        )


def _read(checkpoint: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(checkpoint / WEIGHTS_FILE)


def _draw(folder: Path, spec: EvalSpec, *words: object) -> None:
    def picture(prompt: str, seed: int) -> Image.Image:
        value = chance(prompt, seed, *words)
        return Image.fromarray(np.full((8, 8, 3), int(255 * value), np.uint8))

    samples = [[picture(prompt, seed) for seed in spec.seeds] for prompt in spec.prompts]
    unrelated = [[picture(prompt, seed) for seed in spec.seeds_of_unrelated] for prompt in spec.unrelated_prompts]
    training = [[picture(caption, spec.seeds[0])] for caption in spec.training_captions]
    write_pictures(folder, Drawn(samples=samples, unrelated=unrelated, training=training), len(spec.seeds))


def _load(config: Any, device: str, *_: Any) -> Any:
    dataset = SimpleNamespace(train=range(6), validation=range(3))
    return SimpleNamespace(base=None, dataset=dataset, data=None, all_pictures=None, views=Views(), notes=())


def play(begin: Callable[[], None], end: Callable[[], None]) -> None:
    """From here on this process's studies are simulated, and their workers are forked from it.

    Each worker calls `begin` when it starts and `end` when it ends of itself.
    """
    worker.Pack, worker.Judging, worker.Meter, serving.load = Pack, Judging, fake_supervisor.Meter, _load  # type: ignore[misc,assignment]
    run, leave = local.run_process, process._leave

    def run_forked(config: Any, device: str, connection: Any, *rest: Any) -> None:
        _close_inherited(connection.fileno())
        begin()
        run(config, device, connection, *rest)

    def leave_forked(code: int) -> NoReturn:
        end()
        leave(code)

    local.run_process, process._leave = run_forked, leave_forked
    spawn = multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: spawn("fork" if method == "spawn" else method)  # type: ignore[assignment,misc]


def _close_inherited(own: int) -> None:
    """Close the supervisor's ends of the pipes: a worker that held one would never hear of its supervisor's end."""
    for link in Path("/proc/self/fd").iterdir():
        file = int(link.name)
        with suppress(OSError):  # the folder's own descriptor is gone by now
            if file > 2 and file != own and str(link.readlink()).startswith("socket:"):
                os.close(file)
