"""Keeps libraries from talking over the one progress display; errors still come through."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Final

_TALKATIVE: Final = (
    *("torch", "torchao", "accelerate", "peft", "bitsandbytes", "diffusers", "transformers"),
    *("mlflow", "alembic"),
)
_OF_KILLED_WORKERS: Final = "ignore:resource_tracker:UserWarning"


def quiet_libraries() -> None:
    """Silence progress bars, advice and deprecation notes of the libraries, in this process and its children."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    # What a worker that was killed has left is cleaned up; there is nothing in it for a person.
    given = os.environ.get("PYTHONWARNINGS", "")
    if _OF_KILLED_WORKERS not in given:
        os.environ["PYTHONWARNINGS"] = f"{given},{_OF_KILLED_WORKERS}".strip(",")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    logging.getLogger("torch.utils._pytree").setLevel(
        logging.ERROR
    )  # torch sets the level of its own as it is imported
    for module in _TALKATIVE:
        warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")
        logging.getLogger(module).setLevel(logging.ERROR)
