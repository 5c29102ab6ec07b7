"""A trial that is written as another trainer's config and imported again is the same; or it is said what is not."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from foundation.config.compose import compose
from foundation.config.parse import parse
from sweeper.records.config import TRIAL_GROUPS, Config, parse_config, parse_part, trial_config
from sweeper.trainers.differences import differences, read_again, trial_of, write
from sweeper.trainers.experiment import experiment_of, parts_of
from sweeper.trainers.reading import Reading
from sweeper.trainers.registry import TRAINERS
from train.spec import DataSpec, TrialSpec

COMMON = [
    *("data=folder", "data.path=pictures/mine", "data.repeats=3"),
    *("adapter.rank=24", "adapter.alpha_ratio=0.5", "optimizer.lr=0.0003", "train.batch_size=2"),
    *("train.gradient_accumulation=2", "train.precision=bf16", "objective.noise_offset=0.05"),
]
STEPS = ["train.steps=400", "train.seed=7"]
EPOCHS = ["train.steps=null", "train.epochs=12"]
TAGS = ["objective.shuffle_tags=true", "objective.keep_tags=2", "objective.tag_dropout=0.1"]
SNR = ["objective.snr_gamma=5"]
WITH_TEXT = ["adapter.text_encoder=true", "optimizer.text_encoder_lr_ratio=0.25"]
PRODIGY = [
    *("optimizer=prodigy", "optimizer.lr=1", "optimizer.d_coef=0.8", "optimizer.weight_decay=0.02"),
    *("optimizer.safeguard_warmup=true", "optimizer.settings.d0=1e-5"),
]
FF = ["adapter.targets=attention+ff"]
BUCKETS = ["data.buckets=true"]
FLIP = ["data.flip=true"]
ALIKE = ["adapter.alpha_ratio=1", "optimizer.text_encoder_lr_ratio=1", "data.repeats=1"]
EMA = ["train.ema_decay=0.99"]
COSINE = ["lr_scheduler=cosine"]
ALL = ["adapter.targets=all"]
EPS = ["+optimizer.settings.eps=1e-6"]
RANDOM = ["data.crop=random"]
SDXL = ["base=sdxl"]
FLUX = ["base=flux", "data.resolution=768", "objective.noise_offset=0"]
LOKR = ["adapter=lokr", "adapter.rank=8", "adapter.alpha_ratio=1", "adapter.factor=12"]
UNIFORM = ["objective.flow_density=uniform", "objective.flow_shift=3"]

TRIALS: dict[str, list[list[str]]] = {
    "kohya": [
        [*SDXL, *COMMON, *STEPS, *TAGS, *SNR, *WITH_TEXT, *FF, *BUCKETS, *RANDOM, *COSINE, *FLIP],
        ["base=sd15", *COMMON, *EPOCHS, *PRODIGY, *SNR, "lr_scheduler=polynomial", "adapter.targets=attention"],
        ["base=sd15", *COMMON, *STEPS, "adapter=dora", "optimizer=lion", "optimizer.lr=0.00003", *FF, *RANDOM],
        ["base=sdxl", *COMMON, *STEPS, *LOKR, "adapter.targets=all", "objective.loss=huber", "optimizer=adamw"],
        ["base=sd15", *COMMON, *STEPS, "adapter=locon", "adapter.conv_rank=4", "adapter.conv_alpha_ratio=2"],
        [*FLUX, *COMMON[:-1], *STEPS, "adapter.targets=all-linear", *UNIFORM, "lr_scheduler=cosine_with_restarts"],
    ],
    "onetrainer": [
        [
            *SDXL,
            *COMMON,
            *EPOCHS,
            *TAGS,
            *SNR,
            *WITH_TEXT,
            *FF,
            *BUCKETS,
            "lr_scheduler=cosine",
            "train.ema_decay=0.99",
        ],
        ["base=sd15", *COMMON, *EPOCHS, *PRODIGY, "+optimizer.settings.slice_p=11", "adapter.targets=attention"],
        [
            "base=sd15",
            *COMMON,
            *EPOCHS,
            "adapter=dora",
            "optimizer=lion",
            "optimizer.lr=0.00003",
            "adapter.targets=all",
        ],
        [*FLUX, *COMMON[:-1], *EPOCHS, "adapter.targets=all-linear", *UNIFORM, "base.quantization=nf4"],
    ],
    "ai-toolkit": [
        [*SDXL, *COMMON, *STEPS[:1], *TAGS, *SNR, *WITH_TEXT, *FF, *BUCKETS, *EPS, *COSINE, *FLIP],
        ["base=sd15", *COMMON, *STEPS[:1], *PRODIGY, *EPS, *FF, *RANDOM, "train.ema_decay=0.995"],
        ["base=sd15", *COMMON, *STEPS[:1], "adapter=locon", "adapter.conv_rank=4", "optimizer=lion8bit"],
        [*FLUX, *COMMON[:-1], *STEPS[:1], *EPS, "adapter.targets=all-linear", "objective.flow_shift=1"],
    ],
    "simpletuner": [
        [*SDXL, *COMMON, *STEPS, *SNR, *WITH_TEXT, *BUCKETS, *EPS, "lr_scheduler=polynomial", "adapter.dropout=0.1"],
        ["base=sd15", *COMMON, *EPOCHS, "optimizer=lion", "optimizer.lr=0.00003", *BUCKETS, *FF, "adapter=loha"],
        ["base=sdxl", *COMMON, *STEPS, *LOKR, *EPS, "objective.loss=huber", "objective.huber_schedule=snr"],
        [*FLUX, *COMMON[:-1], *STEPS, *EPS, *UNIFORM, *FF, "base.train_guidance=3.5"],
    ],
    "diffusers": [
        [*SDXL, *COMMON, *ALIKE, *STEPS, *SNR, *COSINE, "lr_scheduler.warmup=0.1", "adapter.text_encoder=true"],
        ["base=sd15", *COMMON, *ALIKE, *EPOCHS, "optimizer=adamw", *RANDOM, *FLIP],
        [*FLUX, *COMMON[:-1], *STEPS, "objective.flow_logit_mean=0.5", "base.train_guidance=3.5"],
    ],
}
CASES = [(name, number) for name, trials in TRIALS.items() for number in range(len(trials))]
UNREAD = ("attention", "compile", "cuda_graphs", "compile_rank", "save_precision")


def config_of(overrides: list[str]) -> Config:
    return parse_config(compose(overrides))


def trial_without_a_study(again: Reading) -> TrialSpec:
    """The trial of a reading, whose experiment is not composed: that takes seconds."""
    config = parts_of(again.settings)
    trial = trial_config({group: parse_part(group, config[group]) for group in TRIAL_GROUPS})
    return replace(trial, views=parse(DataSpec, config["data"]).views)


def essential(trial: TrialSpec) -> TrialSpec:
    """Without what has no effect: fields that another one switches off, and how the numbers are computed."""
    adapter, optimizer, objective = trial.adapter, trial.optimizer, trial.objective
    if adapter.conv_alpha_ratio is None and adapter.name == "locon":
        adapter = replace(adapter, conv_alpha_ratio=adapter.alpha_ratio)
    if not adapter.text_encoder:
        optimizer = replace(optimizer, text_encoder_lr_ratio=1.0)
    if objective.loss == "mse":
        objective = replace(objective, huber_c=0.1, huber_schedule="snr")
    plain = replace(trial.train, save_precision="fp32", activation_checkpointing=False)
    views = replace(trial.views, resolution=None)
    return replace(trial, adapter=adapter, optimizer=optimizer, objective=objective, train=plain, views=views)


@pytest.mark.parametrize(("name", "number"), CASES)
def test_a_trial_comes_back_as_it_was(name: str, number: int) -> None:
    overrides = [*TRIALS[name][number], "train.activation_checkpointing=true"]
    wanted = config_of(overrides)
    trainer = TRAINERS[name]
    files = write(trainer, trial_of(asdict(wanted)), "mine")
    again = read_again(trainer, files)
    assert [fate for fate in again.fates if fate.state == "unknown"] == []
    found = experiment_of(again, "mine", "made by a test").trial if number == 0 else trial_without_a_study(again)
    assert essential(found) == essential(wanted.trial)
    assert again.settings["data.path"] == "pictures/mine"
    assert list(differences(trial_of(asdict(wanted)), again)) == []


STRANGE = [
    *("base=sd15", "data=folder", "data.path=pictures", "adapter.rslora=true", "adapter.targets=[to_q,to_k]"),
    *("optimizer=came", "lr_scheduler=one_cycle", "objective.debiased=true", "objective.input_perturbation=0.1"),
    *("objective.multires_iterations=6", "train.ema_decay=0.99", "train.clip_norm=0.5", "train.stop_after=100"),
    *("train.gradient_accumulation=3", "optimizer.lr_scaling=sqrt", "objective.caption_dropout=0.2"),
]


@pytest.mark.parametrize("name", TRAINERS)
def test_what_does_not_come_back_is_named(name: str) -> None:
    """Each field in which the trial that is read again differs stands in a line, by its path."""
    trainer = TRAINERS[name]
    trial = trial_of(asdict(config_of(STRANGE)))
    again = read_again(trainer, write(trainer, trial, "mine"))
    lines = list(differences(trial, again))
    named = {line.partition(":")[0] for line in lines}
    assert {"adapter.rslora", "train.stop_after", "lr_scheduler.name"} <= named
    other = trial_without_a_study(replace(again, settings={**again.settings, "data.path": "pictures"}))
    own = config_of(STRANGE).trial
    for group in ("adapter", "lr_scheduler", "objective", "train"):
        one, two = asdict(getattr(own, group)), asdict(getattr(other, group))
        unlike = {f"{group}.{field}" for field in one if one[field] != two[field] and field not in UNREAD}
        idle = {"objective.huber_schedule", "train.activation_checkpointing", "lr_scheduler.num_cycles"}
        kept_apart = {"adapter.conv_rank", "adapter.conv_alpha_ratio", "objective.multires_discount"}
        assert unlike - idle - kept_apart <= named, name


def test_a_trial_on_the_embedded_base_is_written_as_what_that_is_built_as() -> None:
    trial = trial_of(asdict(config_of(["+experiment=pencil"])))
    lines = list(differences(trial, read_again(TRAINERS["kohya"], write(TRAINERS["kohya"], trial, "pencil"))))
    assert "base.path: pocket here, stable-diffusion-v1-5/stable-diffusion-v1-5 there" in lines
