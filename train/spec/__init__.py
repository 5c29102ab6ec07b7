"""What makes one trial, and what all trials of a study share, as plain frozen data.

A config names things; code finds them in tables. Single fields carry their ranges in their type (`parse` holds them
to it); what two fields must be to each other is checked in `__post_init__`, where the fields live.
"""

from foundation.bases.spec import BaseSpec, Precision
from foundation.data.spec import DataSpec
from train.spec.adapter import AdapterSpec
from train.spec.lr_scheduler import LrSchedulerName, LrSchedulerSpec
from train.spec.objective import ObjectiveSpec, check_class
from train.spec.offloaded import check_offload
from train.spec.optimizer import OptimizerName, OptimizerSpec, check_installed
from train.spec.quantized import check_quantized
from train.spec.training import OF_THE_STUDY, TrainingSpec, check_attention
from train.spec.trial import Lasting, TrainingRun, TrialSpec

__all__ = [
    "OF_THE_STUDY",
    "AdapterSpec",
    "BaseSpec",
    "DataSpec",
    "Lasting",
    "LrSchedulerName",
    "LrSchedulerSpec",
    "ObjectiveSpec",
    "OptimizerName",
    "OptimizerSpec",
    "Precision",
    "TrainingRun",
    "TrainingSpec",
    "TrialSpec",
    "check_attention",
    "check_class",
    "check_installed",
    "check_offload",
    "check_quantized",
]
