"""Every family's LoRA in every format: what plain diffusers draws with the file is what the trainer drew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from diffusers import DiffusionPipeline
from numpy.typing import NDArray
from peft import PeftModel
from safetensors.torch import load_file

from foundation.adapters.exports import read_adapter
from foundation.bases.families import FAMILIES
from sweeper.export_files import export
from sweeper.export_request import parse
from tests.foundation.adapters.exports import loaders, original
from tests.train.test_families import Family, drawn, family, picture
from train.pack import Pack
from train.spec import AdapterSpec, OptimizerSpec, TrainingSpec, TrialSpec

__all__ = ["family"]  # a fixture
Picture = NDArray[Any]
SAME = 0.05
"""What two pictures may differ by, mean, of 255: a few numbers of 3072 by one."""


@dataclass(frozen=True)
class Exported:
    """What was written of one trial, and its picture."""

    folder: Path
    picture: Picture
    layers: set[str]
    """Of the transformer or UNet: those that learnt something (SD3 does not use its last block's caption queries)."""


@dataclass(frozen=True)
class Written:
    """Trials of one pack, all formats of each."""

    family: str
    base: str
    plain: Picture
    """Without any."""
    trials: dict[str, Exported]

    def new_pipeline(self) -> Any:
        return DiffusionPipeline.from_pretrained(self.base)


NAMES_OF_OTHER_KINDS = {
    "stable_diffusion": {"lora_unet_": "unet", "lora_te_text_model_": "text_encoder"},
    "sdxl": {},
    "qwen_image": {"lora_unet_": "transformer"},
}
"""Components whose layers a kohya file has under diffusers' names, by what stands before these."""


def specs(family: str) -> dict[str, AdapterSpec]:
    """Mixed ranks and alphas in all layers of a preset; fewer layers; and no LoRA. Text encoders where they train."""
    text = FAMILIES[family].trains_text
    return {
        "all": AdapterSpec(
            rank=3,
            alpha_ratio=0.5,
            targets="all",
            rank_pattern={"to_k": 2, "to_q": 5},
            alpha_pattern={"to_v": 4.0},
            text_encoder=text,
        ),
        "attention": AdapterSpec(rank=2, rslora=True),
        "loha": AdapterSpec(name="loha", rank=2, targets="attention+ff", text_encoder=text),
    }


FORMATS = {
    "all": ["diffusers", "kohya", "peft", "merged"],
    "attention": ["diffusers", "kohya"],
    "loha": ["kohya", "peft", "merged"],
}


@pytest.fixture(scope="module")
def written(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Three trials trained in one pack, drawn by it, saved and exported by the command."""
    root = tmp_path_factory.mktemp(family.name)
    pack = Pack(family.copy(), family.data, num_slots=3)
    optimizer, training = OptimizerSpec(name="adamw", lr=0.2), TrainingSpec(steps=3, batch_size=2)
    adapters = specs(family.name)
    slots = [pack.admit(TrialSpec(adapter=spec, optimizer=optimizer, train=training)) for spec in adapters.values()]
    while not all(pack.is_finished(slot) for slot in slots):
        pack.step()
    with pack.acting(slots) as base:
        pictures = drawn(base, copies=len(slots))
    trials = {}
    for name, slot, own in zip(adapters, slots, pictures, strict=True):
        saved, out = root / name, root / f"{name}-export"
        pack.save_adapter(slot, saved)
        config = {"base": {"name": family.name, "family": family.name, "path": family.spec.path}}
        (saved / "config.yaml").write_text(yaml.safe_dump(config))
        export(*parse([str(saved), *FORMATS[name], f"out={out}", "title=mine"]))
        (denoiser, *_) = read_adapter(saved).parts.values()
        layers = {
            key.partition(".lora_")[0] for key, tensor in denoiser.state.items() if "lora_B" in key and tensor.any()
        }
        trials[name] = Exported(out, own[1], layers)
    plain = picture(DiffusionPipeline.from_pretrained(family.spec.path), family.name)
    return Written(family.name, family.spec.path, plain, trials)


def assert_drawn(written: Written, pipe: Any, trial: str) -> None:
    """The trainer's picture, and nothing like the base's own or another trial's."""
    ours = picture(pipe, written.family)
    wanted = written.trials[trial].picture
    learnt = min(
        np.abs(wanted - other).mean()
        for other in (written.plain, *(each.picture for name, each in written.trials.items() if name != trial))
    )
    assert learnt > 10 * SAME
    assert np.abs(ours - wanted).mean() < SAME


def those_with(format_: str) -> Any:
    return pytest.mark.parametrize("trial", [name for name, formats in FORMATS.items() if format_ in formats])


@those_with("diffusers")
def test_diffusers_file(trial: str, written: Written) -> None:
    pipe = written.new_pipeline()
    pipe.load_lora_weights(written.trials[trial].folder, weight_name="pytorch_lora_weights.safetensors")
    assert_drawn(written, pipe, trial)


@those_with("diffusers")  # which reads no LoHa
def test_kohya_file(trial: str, written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """In diffusers, which reads no such file of SD3: it ignores all of it."""
    narrow = original.narrow_flux_lora
    monkeypatch.setattr("diffusers.loaders.lora_pipeline._convert_kohya_flux_lora_to_diffusers", narrow)
    pipe = written.new_pipeline()
    pipe.load_lora_weights(written.trials[trial].folder / "mine.safetensors")
    if written.family == "sd3":
        assert np.array_equal(picture(pipe, "sd3"), written.plain)
    else:
        assert_drawn(written, pipe, trial)


@those_with("kohya")
def test_kohya_file_after_the_formulas(trial: str, written: Written) -> None:
    """Where diffusers cannot say what others make of it. SDXL's names are in tests/foundation/adapters/exports."""
    modules = NAMES_OF_OTHER_KINDS.get(written.family, {"lora_transformer_": "transformer"})
    fused = written.family in original.CONVERTERS
    if not (fused if trial != "loha" else modules):
        return
    pipe, exported = written.new_pipeline(), written.trials[trial]
    state = load_file(exported.folder / "mine.safetensors")
    if trial == "loha":
        prefixes = {prefix: getattr(pipe, part) for prefix, part in modules.items()}
        loaders.put_into(prefixes, state, loaders.comfyui)
    else:
        original.put_into(pipe.transformer, written.family, state, exported.layers)
    assert_drawn(written, pipe, trial)


@those_with("peft")
def test_peft_folders(trial: str, written: Written) -> None:
    pipe = written.new_pipeline()
    folders = list((written.trials[trial].folder / "peft").iterdir())
    for folder in folders:
        module = PeftModel.from_pretrained(getattr(pipe, folder.name), folder)
        setattr(pipe, folder.name, module.get_base_model())
    encoders = {"stable_diffusion": 1, "sdxl": 2}.get(written.family, 0)
    assert len(folders) == 1 + encoders
    assert_drawn(written, pipe, trial)


@those_with("merged")
def test_merged_pipeline(trial: str, written: Written) -> None:
    pipe = DiffusionPipeline.from_pretrained(written.trials[trial].folder / "merged")
    assert_drawn(written, pipe, trial)
