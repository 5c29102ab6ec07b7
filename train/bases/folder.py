"""What can be told of a pipeline's folder without loading it."""

from __future__ import annotations

import json
from pathlib import Path

from foundation.errors import BaseModelError


def check_folder(path: str) -> None:
    """Refuse what can be seen to be no Stable Diffusion pipeline without loading it.

    Raises:
        BaseModelError: in one line.
    """
    folder = Path(path).expanduser()
    if not folder.exists():
        if path.startswith((".", "/", "~")) or path.count("/") != 1:
            raise BaseModelError(f"base.path {path} does not exist; name a diffusers folder or a hub id (owner/model)")
        return
    index = folder / "model_index.json"
    if not index.is_file():
        raise BaseModelError(f"base.path {path} is no pipeline: it has no model_index.json; name a diffusers folder")
    try:
        kind = json.loads(index.read_text())["_class_name"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise BaseModelError(f"base.path {path}: model_index.json cannot be read ({error}); fetch it anew") from error
    if kind != "StableDiffusionPipeline":
        wanted = "StableDiffusionPipeline"
        raise BaseModelError(f"base.path {path} holds a {kind}; base.family stable_diffusion wants a {wanted}")
