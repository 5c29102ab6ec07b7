"""What a trainer's fields become: values that its own documents define, by small configs made for this."""

from __future__ import annotations

import math
from typing import Any

import pytest

from foundation.errors import ConfigError
from sweeper.trainers.reading import Reading, lines_of, read
from sweeper.trainers.registry import TRAINERS, trainer_of

PRESET = {"LoRA_type": "Standard", "network_dim": 32, "network_alpha": 8, "train_batch_size": 2, "unet_lr": 1e-4}
ONE = {"training_method": "LORA", "model_type": "STABLE_DIFFUSION_15", "learning_rate": 1e-4, "lora_rank": 16}
TUNER = {"model_type": "lora", "model_family": "sdxl", "optimizer": "bnb-adamw8bit", "max_train_steps": 500}
JOB = {"type": "sd_trainer", "network": {"type": "lora", "linear": 32, "linear_alpha": 8}, "model": {"arch": "sdxl"}}


def of(*documents: Any) -> Reading:
    named = [(f"{number}.json", document) for number, document in enumerate(documents)]
    trainer, _ = trainer_of(named)
    return read(trainer, trainer.flatten(named))


def job(**parts: Any) -> dict[str, Any]:
    return {"job": "extension", "config": {"name": "x", "process": [{**JOB, **parts}]}}


def check(reading: Reading, **settings: Any) -> None:
    for name, value in settings.items():
        path = name.replace("__", ".")
        got = reading.settings[path]
        assert math.isclose(got, value) if isinstance(value, float) else got == value, path


def fate(reading: Reading, name: str) -> tuple[str, str]:
    (found,) = [each for each in reading.fates if each.name == name]
    return found.state, found.words


def test_every_field_of_a_file_has_one_fate_and_all_are_counted() -> None:
    reading = of({**PRESET, "cache_latents": True, "clip_skip": 2, "color_aug": False, "brand_new": 1, "seed": ""})
    states = {each.name: each.state for each in reading.fates}
    assert states == {
        **dict.fromkeys(PRESET, "carried"),
        "cache_latents": "own",
        "clip_skip": "left",
        "color_aug": "off",
        "brand_new": "unknown",
        "seed": "off",
    }
    assert reading.tally == (
        "10 fields: 5 carried over, 2 without effect there, 1 done here in its own way, 1 left out, 1 unknown"
    )
    lines = list(lines_of(reading))
    assert "unknown: brand_new=1" in lines
    assert "left out: clip_skip=2: captions are read as the base's pipeline reads them" in lines


def test_no_secret_is_shown() -> None:
    secrets = {"wandb_api_key": "very-secret", "huggingface_token": "hf_secret", "my_token": "mine-secret"}
    said = "\n".join(lines_of(of({**PRESET, **secrets})))
    assert "secret" not in said.replace("a secret is nothing", "") and "my_token=***" in said


def test_alpha_of_kohya_is_a_ratio_to_the_dim_and_zero_is_the_dim() -> None:
    check(of(PRESET), adapter__rank=32, adapter__alpha_ratio=0.25)
    check(of({**PRESET, "network_alpha": 0}), adapter__alpha_ratio=1.0)
    toml = {"network_module": "networks.lora", "network_dim": 16, "learning_rate": 1e-4}
    check(of(toml), adapter__alpha_ratio=1 / 16)  # 1 where nothing is said


@pytest.mark.parametrize(
    ("fields", "steps", "epochs"),
    [
        ({"max_train_epochs": 10, "max_train_steps": 900, "epoch": 3}, None, 10),
        ({"max_train_steps": 900, "epoch": 3}, 900, None),
        ({"max_train_steps": 0, "epoch": 3}, None, 3),
        ({"max_train_epochs": "", "epoch": 3}, None, 3),
        ({}, 1600, None),
    ],
)
def test_epochs_of_kohya_count_before_steps(fields: dict[str, Any], steps: int | None, epochs: int | None) -> None:
    check(of({**PRESET, **fields}), train__steps=steps, train__epochs=epochs)


@pytest.mark.parametrize(
    ("fields", "share"),
    [
        ({"lr_warmup": 10}, 0.1),
        ({"lr_warmup_steps": 100, "max_train_steps": 400}, 0.25),
        ({"lr_warmup_steps": 0.05, "max_train_epochs": 4}, 0.05),
        ({"lr_warmup_steps": 100, "max_train_epochs": 4}, 0.0),
    ],
)
def test_warm_up_is_a_share_of_the_steps(fields: dict[str, Any], share: float) -> None:
    reading = of({**PRESET, "lr_scheduler": "cosine", **fields})
    check(reading, lr_scheduler="cosine", lr_scheduler__warmup=share)
    if not share:
        assert fate(reading, "lr_warmup_steps")[0] == "left"


def test_a_constant_rate_of_kohya_has_no_warm_up() -> None:
    reading = of({**PRESET, "lr_scheduler": "constant", "lr_warmup": 10})
    check(reading, lr_scheduler="constant", lr_scheduler__warmup=0.0)
    assert fate(reading, "lr_warmup") == ("left", "a constant rate has no warm-up there either")


def test_arguments_of_an_optimizer_are_its_fields() -> None:
    said = "weight_decay=0.01 decouple=True d0=0.0001 d_coef=2 betas=0.9,0.99 use_bias_correction=True odd=3"
    reading = of({**PRESET, "optimizer": "Prodigy", "unet_lr": 1, "optimizer_args": said})
    check(reading, optimizer="prodigy", optimizer__d_coef=2.0, optimizer__beta2=0.99, optimizer__safeguard_warmup=False)
    check(reading, optimizer__settings__d0=1e-4, optimizer__settings__decouple=True, optimizer__weight_decay=0.01)
    assert fate(reading, "optimizer_args.odd") == ("left", "prodigy takes no such argument here")


@pytest.mark.parametrize(
    ("said", "option", "decay"),
    [("Lion", "lion", 0.0), ("AdamW8bit", "adamw8bit", 0.01), ("DAdaptAdam", "dadapt_adam", 0.0)],
)
def test_an_optimizer_has_its_librarys_weight_decay(said: str, option: str, decay: float) -> None:
    check(of({**PRESET, "optimizer": said, "unet_lr": 1}), optimizer=option, optimizer__weight_decay=decay)


def test_an_optimizer_that_is_not_here_is_said() -> None:
    reading = of({**PRESET, "optimizer": "DAdaptLion"})
    assert fate(reading, "optimizer") == ("left", "DAdaptLion is no optimizer here; adamw takes its place")


@pytest.mark.parametrize(
    ("kind", "option", "targets"),
    [
        ("Standard", "lora", "attention+ff"),
        ("Kohya LoCon", "locon", "all"),
        ("LyCORIS/LoCon", "locon", "all"),
        ("LyCORIS/LoHa", "loha", "all"),
        ("LyCORIS/LoKr", "lokr", "all"),
        ("LyCORIS/iA3", "ia3", "all"),
        ("Kohya DyLoRA", "lora", "attention+ff"),
    ],
)
def test_kinds_of_kohya_ss(kind: str, option: str, targets: str) -> None:
    reading = of({**PRESET, "LoRA_type": kind, "conv_dim": 8, "conv_alpha": 4})
    check(reading, adapter=option, adapter__targets=targets)
    if option == "locon":
        check(reading, adapter__conv_rank=8, adapter__conv_alpha_ratio=0.5)
    if kind == "Kohya DyLoRA":
        assert fate(reading, "LoRA_type")[0] == "left"


def test_lycoris_in_the_arguments_of_sd_scripts() -> None:
    arguments = ["algo=lokr", "preset=attn-mlp", "factor=8", "dora_wd=True"]
    toml = {"network_module": "lycoris.kohya", "network_dim": 100000, "learning_rate": 1, "network_args": arguments}
    reading = of(toml)
    check(reading, adapter="lokr", adapter__targets="attention+ff", adapter__factor=8)
    check(reading, adapter__rank=1024, adapter__alpha_ratio=1.0)  # a factor that is not decomposed
    assert fate(reading, "network_args.dora_wd")[0] == "left"


def test_rates_of_the_text_encoder_are_ratios() -> None:
    check(of({**PRESET, "text_encoder_lr": 2e-5}), adapter__text_encoder=True, optimizer__text_encoder_lr_ratio=0.2)
    check(of({**PRESET, "text_encoder_lr": 0}), adapter__text_encoder=False)
    flux = of({**PRESET, "LoRA_type": "Flux1", "text_encoder_lr": 2e-5})
    check(flux, base="flux", adapter__text_encoder=False)
    assert fate(flux, "text_encoder_lr")[0] == "left"


def test_the_dataset_toml_says_what_the_pictures_are() -> None:
    subsets = [
        {"image_dir": "mine", "num_repeats": 10, "keep_tokens": 3, "flip_aug": True},
        {"image_dir": "class", "is_reg": True},
        {"image_dir": "more"},
    ]
    dataset = {
        "general": {"shuffle_caption": True, "keep_tokens": 1, "enable_bucket": True, "min_bucket_reso": 256},
        "datasets": [{"resolution": [768, 768], "batch_size": 4, "subsets": subsets}],
    }
    training = {"network_module": "networks.lora", "network_dim": 4, "learning_rate": 1e-4, "train_batch_size": 1}
    reading = of({"section": training}, dataset)
    check(reading, data__path="mine", data__regularization_path="class", data__repeats=10, data__flip=True)
    check(reading, train__batch_size=4, base__resolution=768, objective__keep_tags=3, objective__shuffle_tags=True)
    check(reading, data__buckets=True, data__bucket_min=256)
    assert fate(reading, "datasets.subsets[2].image_dir")[0] == "left"


@pytest.mark.parametrize(
    ("fields", "density", "shift"),
    [
        ({}, "uniform", 3.0),
        ({"timestep_sampling": "sigmoid", "sigmoid_scale": 1.5}, "logit_normal", 1.0),
        ({"timestep_sampling": "shift", "discrete_flow_shift": 3.1582}, "logit_normal", 3.1582),
        ({"timestep_sampling": "flux_shift"}, "logit_normal", None),
        ({"timestep_sampling": "uniform"}, "uniform", 1.0),
    ],
)
def test_times_of_a_flow(fields: dict[str, Any], density: str, shift: float | None) -> None:
    reading = of({**PRESET, "LoRA_type": "Flux1", **fields})
    check(reading, objective__flow_density=density, objective__flow_shift=shift)
    if "sigmoid_scale" in fields:
        check(reading, objective__flow_logit_std=1.5)


def test_the_window_chooses_one_of_its_two_noises() -> None:
    both = {"noise_offset": 0.05, "multires_noise_iterations": 6, "multires_noise_discount": 0.2}
    original = of({**PRESET, **both, "noise_offset_type": "Original"})
    check(original, objective__noise_offset=0.05, objective__multires_iterations=0)
    multires = of({**PRESET, **both, "noise_offset_type": "Multires"})
    check(multires, objective__noise_offset=0.0, objective__multires_iterations=6, objective__multires_discount=0.2)


def test_what_would_be_refused_is_changed_and_said() -> None:
    reading = of({**PRESET, "optimizer": "Prodigy", "unet_lr": 1e-4, "lr_scheduler": "cosine_with_restarts"})
    check(reading, optimizer__safeguard_warmup=True, optimizer__lr=1.0)
    assert any("safeguard_warmup is true" in remark for remark in reading.remarks)
    free = of({**PRESET, "optimizer": "AdamWScheduleFree", "lr_scheduler": "cosine", "lr_warmup": 10})
    check(free, lr_scheduler="constant", lr_scheduler__warmup=0.0)


def test_onetrainer() -> None:
    concepts = [{"path": "mine", "balancing": 4.0, "image": {"enable_random_flip": False}, "text": {}}]
    own = {"unet": {"learning_rate": 2e-4}, "text_encoder": {"train": True, "learning_rate": 5e-5}}
    average = {"ema": "GPU", "ema_decay": 0.99, "ema_update_step_interval": 5}
    reading = of(
        {**ONE, **own, **average, "lora_alpha": 4, "learning_rate_warmup_steps": 0.1, "resolution": "512,768"}, concepts
    )
    check(reading, base="sd15", adapter__alpha_ratio=0.25, optimizer__lr=2e-4, optimizer__text_encoder_lr_ratio=0.25)
    check(reading, train__epochs=100, train__ema_decay=0.99**0.2, base__resolution=768, train__precision="fp16")
    check(reading, lr_scheduler="constant_with_warmup", lr_scheduler__warmup=0.1, data__repeats=4, data__flip=False)


def test_onetrainers_older_files() -> None:
    old = {"optimizer": "LION", "weight_decay": 0.05, "unet_learning_rate": 3e-5, "train_text_encoder": False}
    reading = of({**ONE, **old, "min_snr_gamma": 5})
    check(reading, optimizer="lion", optimizer__weight_decay=0.05, optimizer__lr=3e-5, objective__snr_gamma=5.0)
    check(reading, adapter__text_encoder=False)


def test_ai_toolkit() -> None:
    sets = [
        {"folder_path": "mine", "resolution": [512, 1024], "caption_dropout_rate": 0.05, "num_repeats": 2},
        {"folder_path": "class", "is_reg": True},
    ]
    train = {"steps": 3000, "lr": "1e-4", "optimizer": "adamw8bit", "gradient_accumulation_steps": 3, "dtype": "bf16"}
    reading = of(job(datasets=sets, train=train, trigger_word="sks"))
    check(reading, base="sdxl", adapter__alpha_ratio=0.25, optimizer__lr=1e-4, optimizer__settings__eps=1e-6)
    check(reading, train__steps=1000, train__gradient_accumulation=3)  # its older way counts passes
    check(reading, data__path="mine", data__regularization_path="class", data__trigger="sks", base__resolution=1024)
    newer = {"steps": 3000, "lr": 1e-4, "gradient_accumulation": 3}
    check(of(job(train=newer)), train__steps=3000, train__gradient_accumulation=3)


def test_simpletuner() -> None:
    backend = [{"id": "a", "instance_data_dir": "mine", "repeats": 4, "crop": True, "crop_aspect": "square"}]
    own = {
        "--learning_rate": "1e-4",
        "lr_scheduler": "polynomial",
        "lr_end": 1e-5,
        "lr_power": 2,
        "lr_warmup_steps": 50,
    }
    reading = of({**TUNER, **own, "optimizer_config": "weight_decay=0.02", "lora_rank": 8}, backend)
    check(reading, base="sdxl", optimizer__lr=1e-4, lr_scheduler__end=0.1, lr_scheduler__warmup=0.1, adapter__rank=8)
    check(reading, adapter__alpha_ratio=1.0, adapter__dropout=0.1, optimizer__weight_decay=0.02, data__repeats=5)
    check(reading, data__buckets=False, data__path="mine", train__batch_size=4)


BASES = "must be a base that is trained here, sd1, sd2, sdxl, sd3, flux, qwen_image, got"


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ({**PRESET, "network_dim": "many"}, "network_dim must be a number, got 'many'"),
        ({**PRESET, "flip_aug": "perhaps"}, "flip_aug must be true or false, got 'perhaps'"),
        (
            {**PRESET, "max_resolution": "big"},
            "max_resolution must be a side in pixels, as 1024 or 1024x1024, got 'big'",
        ),
        ({**PRESET, "unet_lr": -1}, "the learning rate must be above 0, got -1"),
        ({**PRESET, "seed": 1.5}, "seed must be a whole number, got 1.5"),
        ({**PRESET, "lr_scheduler": ["cosine"]}, "lr_scheduler must be a text, got ['cosine']"),
        (
            {**ONE, "training_method": "EMBEDDING"},
            "training_method must be LORA: that alone is trained here, got EMBEDDING",
        ),
        (
            {**ONE, "model_type": "WAN_2"},
            f"model_type {BASES} WAN_2",
        ),
        ({**TUNER, "model_type": "full"}, "model_type must be lora: that alone is trained here, got full"),
        ({**TUNER, "max_train_steps": 0}, "max_train_steps or num_train_epochs must be above 0, got neither"),
        (
            job(model={"arch": "wan21"}),
            f"model.arch {BASES} wan21",
        ),
    ],
)
def test_a_wrong_value_is_one_line(document: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as told:
        of(document)
    assert told.value.problems == (line,)


def test_files_of_nobody_and_of_two_trainers_are_refused() -> None:
    with pytest.raises(ConfigError, match="0.json must be a config of a trainer that is known"):
        of({"a": 1})
    with pytest.raises(ConfigError, match="all files must be of one trainer; 0.json is of kohya"):
        of(PRESET, ONE)
    with pytest.raises(ConfigError, match="x must be a config of a trainer"):
        trainer_of([("x", ONE)], "kohya")


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=TRAINERS)
def test_no_field_stands_in_two_reasons_or_as_carried_and_unused(trainer: Any) -> None:
    read_names = {name for row in trainer.rows for name in row.theirs}
    unused = [name for each in trainer.unused for name in each.theirs]
    assert sorted({name for name in unused if unused.count(name) > 1}) == []
    assert sorted(read_names & set(unused)) == []
