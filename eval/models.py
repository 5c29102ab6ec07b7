"""The models that a judge looks with, checked before anything is loaded or written."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from eval.spec import EvalSpec
from foundation.config.own_code import refuse_models_code
from foundation.errors import ConfigError
from foundation.hub import is_hub_id, is_out_of_reach

OWN: Final = "pocket"
"""The embedded CLIP."""


def check_models(spec: EvalSpec) -> None:
    """Refuse what is neither a folder that is there nor looks like a hub id; a hub id is looked up only when loaded.

    Raises:
        ConfigError: one problem for each.
        BaseModelError: a folder asks for code of its own.
    """
    named = {"clip": spec.clip, "image_features": spec.image_features, "style_features": spec.style_features}
    problems = []
    if spec.identity_features and not Path(spec.identity_features).is_dir():
        problems.append(
            f"eval.identity_features must be a folder of ONNX models, got {spec.identity_features!r}: no such folder"
        )
    for field, source in named.items():
        if not source or (field == "clip" and source == OWN):
            continue
        if Path(source).is_dir():
            refuse_models_code(source, f"eval.{field}")
        elif not is_hub_id(source):
            own = f", or {OWN}" if field == "clip" else ""
            problems.append(
                f"eval.{field} must be a folder or a hub id as owner/name{own}, got {source!r}: no such folder"
            )
        elif is_out_of_reach(source, "config.json"):
            problems.append(
                f"eval.{field} {source} is not in this machine's cache, and HF_HUB_OFFLINE keeps from fetching it; run "
                f"`hf download {source}` where the hub can be reached, or name a folder"
            )
    if problems:
        raise ConfigError(problems)
