"""Where a base comes from, which family it is of, and one clear line for each way in which that goes wrong."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, FluxPipeline, StableDiffusionPipeline
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors.torch import save_file

from eval.guidance import guidance_options, rows_of_a_picture
from foundation.bases.families import FAMILIES
from foundation.bases.flow import flow_of
from foundation.bases.folder import known_prediction
from foundation.bases.port import Base
from foundation.bases.registry import check_base, load_base
from foundation.bases.text import join_text, split_text
from foundation.config.parse import parse
from foundation.errors import AdapterError, BaseModelError, ConfigError
from tests.train.original_checkpoint import save_original
from tests.train.tiny_families import BUILDERS, build, sd3
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, BaseSpec, OptimizerSpec, TrainingSpec, TrialSpec

CPU = torch.device("cpu")
HTTP: Any = import_module("httpx2" if find_spec("httpx2") else "httpx")
"""What the hub's library speaks: httpx2 from its 2.0 on."""
SPECS: dict[str, BaseSpec] = {}


@pytest.fixture(scope="session")
def spec_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], BaseSpec]:
    """The config of each family's tiny pipeline, which is built when it is first asked for."""

    def of(family: str) -> BaseSpec:
        if family not in SPECS:
            SPECS[family] = build(family, tmp_path_factory.mktemp(family))
        return SPECS[family]

    return of


def said(action: Callable[[], Any], error: type[Exception] = BaseModelError) -> str:
    with pytest.raises(error) as raised:
        action()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("family", BUILDERS)
def test_a_family_is_read_from_its_folder(family: str, spec_of: Callable[[str], BaseSpec]) -> None:
    spec = spec_of(family)
    base = load_base(spec, CPU)
    assert base.family == family and type(base.pipeline) is DiffusionPipeline.from_pretrained(spec.path).__class__
    check_base(spec)
    wrong = "sdxl" if family != "sdxl" else "flux"
    line = said(lambda: check_base(replace(spec, family=wrong)))
    assert f"is base.family {family}, not {wrong}" in line
    assert said(lambda: load_base(replace(spec, family=wrong), CPU)) == line


@pytest.mark.parametrize("family", BUILDERS)
def test_only_some_families_train_their_text_encoders(family: str, spec_of: Callable[[str], BaseSpec]) -> None:
    spec = spec_of(family)
    if FAMILIES[family].trains_text:
        check_base(spec, trains_text=True)
        return
    assert f"base.family {family}" in said(lambda: check_base(spec, trains_text=True), ConfigError)
    base = load_base(spec, CPU)
    assert "adapter.text_encoder" in said(lambda: base.text_target_modules("attention"), AdapterError)
    assert base.tokenize(["a", "b"]).shape == (2, 0)


def test_what_is_no_base_is_refused(spec_of: Callable[[str], BaseSpec], tmp_path: Path) -> None:
    spec = spec_of("flux")
    (tmp_path / "old.ckpt").write_bytes(b"")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline"}))
    for path, words in {
        str(tmp_path / "old.ckpt"): "convert it to .safetensors",
        str(tmp_path / "none.safetensors"): "does not exist",
        str(tmp_path): "no model_index.json",
        str(tmp_path / "other"): "holds a WanPipeline; what can be trained is StableDiffusionPipeline,",
        "./nowhere": "does not exist",
    }.items():
        assert words in said(lambda path=path: check_base(replace(spec, path=path)))


@pytest.mark.parametrize("family", BUILDERS)
def test_without_a_resolution_pictures_are_as_large_as_the_pipelines_own(
    family: str, spec_of: Callable[[str], BaseSpec]
) -> None:
    base = load_base(replace(spec_of(family), resolution=999), CPU, own_size=True)
    (drawn,) = base.pipeline(prompt="a red cup", num_inference_steps=1, output_type="pil").images
    assert drawn.size == (base.resolution, base.resolution)


def test_a_resolution_that_does_not_fit_is_refused(spec_of: Callable[[str], BaseSpec]) -> None:
    spec = spec_of("flux")
    pipeline = FluxPipeline.from_pretrained(spec.path)
    pipeline.vae_scale_factor = 8  # as large ones have it
    family: Any = type(load_base(spec, CPU))
    assert "multiple of 16 for this base, got 40; try 32" in said(
        lambda: family(pipeline, replace(spec, resolution=40), CPU)
    )


def test_t5_is_left_out_of_sd3_only(spec_of: Callable[[str], BaseSpec], tmp_path: Path) -> None:
    whole = load_base(spec_of("sd3"), CPU)
    without = load_base(replace(spec_of("sd3"), t5=False), CPU)
    assert without.pipeline.text_encoder_3 is None and without.fingerprint != whole.fingerprint
    ours = without.encode_texts(["a red cup"])
    assert ours.shape == whole.encode_texts(["a red cup"]).shape
    sd3(t5=False).save_pretrained(tmp_path)  # a folder that has none
    assert load_base(replace(spec_of("sd3"), path=str(tmp_path)), CPU).encode_texts(["a red cup"]).shape == ours.shape
    with pytest.raises(ConfigError, match="base.t5=false is for base.family sd3, got flux"):
        parse(BaseSpec, {"name": "x", "family": "flux", "path": "x/y", "resolution": 64, "t5": False})


def test_settings_that_change_results_change_the_fingerprint(spec_of: Callable[[str], BaseSpec]) -> None:
    spec = spec_of("flux")
    prints = {
        load_base(each, CPU).fingerprint
        for each in (spec, replace(spec, max_tokens=32), replace(spec, train_guidance=2.0))
    }
    assert len(prints) == 3


def test_a_transformer_in_one_file_takes_the_rest_from_parts(
    spec_of: Callable[[str], BaseSpec], tmp_path: Path
) -> None:
    spec = spec_of("flux")
    whole = load_base(spec, CPU)
    state = {name: tensor + 0.01 for name, tensor in whole.denoiser.state_dict().items()}
    save_file(state, tmp_path / "flux.safetensors")
    alone = replace(spec, path=str(tmp_path / "flux.safetensors"), family="flux", parts=spec.path)
    loaded = load_base(alone, CPU)
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.denoiser.state_dict().items())
    assert torch.equal(loaded.encode_texts(["a red cup"]), whole.encode_texts(["a red cup"]))
    assert "set base.parts" in said(lambda: load_base(replace(alone, parts=None), CPU))
    assert "set base.family to one of" in said(lambda: check_base(replace(alone, family="auto")))
    assert "holds a StableDiffusion3Pipeline" in said(lambda: load_base(replace(alone, parts=spec_of("sd3").path), CPU))


@pytest.mark.parametrize("family", ["stable_diffusion", "sdxl"])
def test_a_whole_checkpoint_in_one_file_is_the_pipeline_it_was_made_of(
    family: str, spec_of: Callable[[str], BaseSpec], tmp_path: Path
) -> None:
    folder = replace(spec_of(family), family=family)  # type: ignore[arg-type]
    whole = load_base(folder, CPU)
    save_original(whole.pipeline, tmp_path / "whole.safetensors")
    alone = load_base(replace(folder, path=str(tmp_path / "whole.safetensors"), parts=folder.path), CPU)
    for part in ("unet", "vae", "text_encoder", *(["text_encoder_2"] if family == "sdxl" else [])):
        state, read = (getattr(base.pipeline, part).state_dict() for base in (whole, alone))
        assert state.keys() == read.keys()
        assert all(torch.equal(tensor, read[name]) for name, tensor in state.items()), part
    assert torch.equal(alone.encode_texts(["a red cup"]), whole.encode_texts(["a red cup"]))


def test_what_diffusers_is_asked_for_of_a_whole_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sd.safetensors").write_bytes(b"")
    asked: dict[str, Any] = {}

    def read(path: str, **options: Any) -> Any:
        asked.update(options, path=path)
        raise OSError("offline") from LocalEntryNotFoundError("not there")

    monkeypatch.setattr(StableDiffusionPipeline, "from_single_file", read)
    spec = BaseSpec(
        name="x", family="stable_diffusion", path=str(tmp_path / "sd.safetensors"), parts="some/configs", resolution=64
    )
    assert "set base.parts to a diffusers folder" in said(lambda: load_base(spec, CPU))
    assert asked["path"] == spec.path and asked["config"] == "some/configs" and asked["safety_checker"] is None


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (GatedRepoError, "wants its licence accepted: do so on https://huggingface.co/some/model"),
        (RepositoryNotFoundError, "is not on the hub, or is private"),
        (LocalEntryNotFoundError, "run `hf download some/model`"),
    ],
)
def test_what_the_hub_refuses_is_said_with_what_to_do(cause: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        if cause is LocalEntryNotFoundError:
            raise OSError("does not appear to have a file") from cause("offline")
        request = HTTP.Request("GET", "https://huggingface.co")
        raise cause("401 Client Error", response=HTTP.Response(401, request=request))

    monkeypatch.setattr(FluxPipeline, "from_pretrained", refuse)
    monkeypatch.setattr(DiffusionPipeline, "load_config", refuse)
    spec = BaseSpec(name="x", family="flux", path="some/model", resolution=64)
    assert words in said(lambda: load_base(spec, CPU))
    assert words in said(lambda: load_base(replace(spec, family="auto"), CPU))
    check_base(spec)  # the hub is asked only when it is loaded


@pytest.mark.parametrize("width", [1, 5, 8, 11])
def test_text_is_split_as_it_was_joined(width: int) -> None:
    tokens, extra = torch.randn(3, 7, 5), torch.randn(3, width)
    joined = join_text(tokens, extra)
    assert joined.shape == (3, 7 + math.ceil(width / 5), 5)
    assert all(torch.equal(a, b) for a, b in zip(split_text(joined, width), (tokens, extra), strict=True))


@pytest.mark.parametrize(("tokens", "dynamic"), [(64, False), (64, True), (4096, True)])
def test_training_has_the_shift_of_sampling(tokens: int, dynamic: bool) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=dynamic)
    flow = flow_of(scheduler, tokens)
    mu = 0.5 + (1.15 - 0.5) * (tokens - 256) / (4096 - 256)
    scheduler.set_timesteps(sigmas=[0.9, 0.5, 0.2], **({"mu": mu} if dynamic else {}))
    u = torch.tensor([0.9, 0.5, 0.2])
    torch.testing.assert_close(flow.shift * u / (1 + (flow.shift - 1) * u), scheduler.sigmas[:3])


@pytest.mark.parametrize("family", BUILDERS)
def test_a_pictures_rows_are_what_the_denoiser_gets(
    family: str, spec_of: Callable[[str], BaseSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = load_base(spec_of(family), CPU).pipeline
    denoiser = pipe.unet if hasattr(pipe, "unet") else pipe.transformer
    rows: list[int] = []
    forward = denoiser.forward

    def seen(*args: Any, **kwargs: Any) -> Any:
        rows.append(len(args[0] if args else kwargs["hidden_states"]))
        return forward(*args, **kwargs)

    monkeypatch.setattr(denoiser, "forward", seen)
    for scale in (1.0, 3.0):
        rows.clear()
        pipe(
            prompt=["a cup"] * 2,
            height=32,
            width=32,
            num_inference_steps=2,
            output_type="latent",
            **guidance_options(pipe, scale, 2),
        )
        assert set(rows) == {2 * rows_of_a_picture(pipe, scale)}


@pytest.mark.parametrize("family", BUILDERS)
def test_every_name_of_a_preset_fits_a_layer_and_all_train_packed(
    family: str, spec_of: Callable[[str], BaseSpec], tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    base: Base = load_base(spec_of(family), CPU)
    names = [name for name, _ in base.denoiser.named_modules()]
    for preset in ("attention", "attention+ff", "all"):
        for target in base.target_modules(preset):  # a whole name, or the end of one, as PEFT takes them
            assert any(f".{name}".endswith(f".{target}") for name in names), target
    pack = Pack(base, _data(base, tiny_data), num_slots=2)
    spec = TrialSpec(
        adapter=AdapterSpec(rank=2, targets="all"),
        optimizer=OptimizerSpec(name="adamw", lr=0.1),
        train=TrainingSpec(steps=2, batch_size=1),
    )
    slots = [pack.admit(spec), pack.admit(replace(spec, adapter=replace(spec.adapter, rank=3)))]
    reports = [*pack.step(), *pack.step()]
    assert [report.failure for report in reports] == [None] * 4
    latents, times, text = pack.data.train.means[:1], torch.tensor([500]), pack.data.train.embeddings[:1]
    pack.save_adapter(slots[1], tmp_path / "lora")
    with pack.acting(slots[1:]) as acting:
        ours = acting.predict(latents, times, text)
    with pack.acting_file(tmp_path / "lora") as acting:
        theirs = acting.predict(latents, times, text)
    with pack.acting([]) as acting:
        plain = acting.predict(latents, times, text)
    assert (ours - theirs).abs().max() < 1e-4 < 1e-3 < (ours - plain).abs().max()


def _data(base: Base, data: EncodedDataset) -> EncodedDataset:
    """Pictures as the tiny Stable Diffusion sees them do for any base, and for FLUX.2 four neighbours in one."""
    captions = ["a red cup"] * len(data.train)
    neighbours = 2 if base.family == "flux2" else 1
    means, stds = (F.pixel_unshuffle(each, neighbours) for each in (data.train.means, data.train.stds))
    train = replace(
        data.train, means=means, stds=stds, embeddings=base.encode_texts(captions), tokens=base.tokenize(captions)
    )
    return replace(data, train=train, empty=base.encode_texts([""]), empty_tokens=base.tokenize([""]))


@pytest.mark.parametrize("family", BUILDERS)
def test_what_a_folder_predicts_is_known_without_loading_it(
    spec_of: Callable[[str], BaseSpec], family: str, tmp_path: Path
) -> None:
    spec = spec_of(family)
    assert known_prediction(spec) == load_base(spec, CPU).process.prediction_type
    far = replace(spec, path="owner/model", family="sdxl")
    assert known_prediction(far) is None
    assert known_prediction(replace(far, family="flux")) == "flow"
    if family == "stable_diffusion":
        whole = shutil.copytree(spec.path, tmp_path / "torn")
        (whole / "scheduler/scheduler_config.json").write_text("{")
        with pytest.raises(BaseModelError, match=r"scheduler_config\.json is not JSON: .*; fetch it anew"):
            known_prediction(replace(spec, path=str(whole)))
