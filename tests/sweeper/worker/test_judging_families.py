"""Every family's slots are judged together as alone, and their files are judged by `sweeper eval`, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from eval.judge_file import judge_file
from eval.request import parse_request
from foundation.bases.families import FAMILIES
from foundation.bases.registry import load_base, load_plain
from foundation.bases.spec import BaseSpec
from foundation.data.dataset import Dataset
from sweeper.worker.judging import Due, Judging
from tests.sweeper.worker.test_judging import SPEC
from tests.train.original_checkpoint import save_original
from tests.train.test_families import trials
from tests.train.tiny_families import BUILDERS, build
from train.caches import encode_dataset
from train.pack import Pack

QUICK = replace(
    SPEC,
    prompts=("a red cup", "a blue star"),
    final_prompts=(),
    unrelated_prompts=(),
    timestep_bins=4,  # what `sweeper eval` asks
    noises_per_bin=2,
)


@pytest.mark.parametrize("family", BUILDERS)
def test_judged_together_as_judged_alone(
    family: str, tiny_dataset: Dataset, drawn_folder: Path, tmp_path: Path
) -> None:
    spec = build(family, tmp_path / "base")
    base = load_base(spec, torch.device("cpu"))
    data = encode_dataset(base, tiny_dataset, tmp_path / "cache")
    pack = Pack(base, data, num_slots=2)
    for trial in trials(family, lr=0.1)[1:]:
        pack.admit(trial)
    pack.step()
    judging = Judging(pack, tiny_dataset, data, QUICK, "", tmp_path / "cache")
    due = [Due(slot=slot, step=1, history=[], pictures=tmp_path / str(slot)) for slot in (0, 1)]
    together = judging.judge(due)
    alone = [judging.judge([replace(each, pictures=tmp_path / "alone" / str(each.slot))])[0] for each in due]
    base_losses = judging.judge_base(QUICK).validation_losses
    pack.save_adapter(1, tmp_path / "lora")
    of_file = judging.judge_file(tmp_path / "lora", 1, tmp_path / "file", QUICK.seeds)
    for packed, single in zip([*together, of_file], [*alone, alone[1]], strict=True):
        assert packed.score == pytest.approx(single.score, abs=0.2)  # pictures are rounded to 8 bits
        assert packed.validation_losses == pytest.approx(single.validation_losses, rel=1e-4)
        assert packed.validation_losses != pytest.approx(base_losses, rel=1e-4)
    bases = [[f"base={spec.path}"]]
    if FAMILIES[family].whole_in_a_file:
        save_original(load_plain(spec), tmp_path / "whole.safetensors")
        bases.append([f"base={tmp_path / 'whole.safetensors'}", f"base.family={family}", f"base.parts={spec.path}"])
    for named in bases:
        evaluation = judge_file(parse_request([f"lora={tmp_path / 'lora'}", *named, *of_eval(spec, drawn_folder)]))
        assert evaluation.score == evaluation.score
        assert evaluation.validation_losses == pytest.approx(of_file.validation_losses, rel=1e-5)


def of_eval(spec: BaseSpec, drawn_folder: Path) -> list[str]:
    """Arguments of `sweeper eval` beside LoRA and base."""
    return [
        f"data={drawn_folder / 'train'}",
        f"held_out={drawn_folder / 'validation'}",
        *(f"prompt={prompt}" for prompt in QUICK.prompts),
        f"resolution={spec.resolution}",
        *([f"max_tokens={spec.max_tokens}"] if spec.max_tokens else []),
        "seeds=2",
        "steps=2",
        "device=cpu",
    ]
