"""What other trainers put up with and ours refuses, changed so that it can be trained, and said."""

from __future__ import annotations

from sweeper.trainers.port import Settings, Theirs
from train.spec.lr_scheduler import CURVES
from train.spec.optimizer_kinds import OPTIMIZERS


def settle(settings: Settings, theirs: Theirs) -> None:
    """Change, in place, what would be refused: the checks of `train.spec.trial.TrialSpec`; a remark for each."""
    kind = OPTIMIZERS[settings["optimizer"]]
    curve = settings["lr_scheduler"]
    if kind.schedule_free and CURVES[curve].falls:
        theirs.remarks.append(f"lr_scheduler is constant in place of {curve}: {settings['optimizer']} averages instead")
        for path in [path for path in settings if path.startswith("lr_scheduler.")]:
            del settings[path]
        settings["lr_scheduler"] = "constant"
        settings["lr_scheduler.warmup"] = 0.0
    if kind.schedule_free and settings.get("train.ema_decay") is not None:
        theirs.remarks.append(f"train.ema_decay is off: {settings['optimizer']} averages already")
        settings["train.ema_decay"] = None
    restarts = settings["lr_scheduler"] == "cosine_with_restarts"
    if restarts and "safeguard_warmup" in kind.fields and not settings.get("optimizer.safeguard_warmup"):
        theirs.remarks.append("optimizer.safeguard_warmup is true: each restart's small steps would spoil the estimate")
        settings["optimizer.safeguard_warmup"] = True
    ratio = settings.get("optimizer.text_encoder_lr_ratio", 1)
    if kind.lr_ratios is not None and ratio not in kind.lr_ratios:
        usual = kind.lr_ratios[0]
        theirs.remarks.append(f"optimizer.text_encoder_lr_ratio is {usual:g}: this optimizer has one rate for all")
        settings["optimizer.text_encoder_lr_ratio"] = float(usual)
    if kind.adaptive and not 0.1 <= settings["optimizer.lr"] <= 10:
        theirs.remarks.append(f"optimizer.lr is 1, not {settings['optimizer.lr']:g}: this optimizer finds its own")
        settings["optimizer.lr"] = 1.0
    if settings["adapter"] == "adalora" and settings.get("train.precision") == "fp16":
        theirs.remarks.append("train.precision is fp32: fp16 skips steps that adalora counts")
        settings["train.precision"] = "fp32"
