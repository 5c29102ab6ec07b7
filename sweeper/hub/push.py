"""Puts a folder on the Hub, with a token of the environment that is never written or said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, cast

from foundation.errors import ConfigError, UserError, first_line
from foundation.secrets import redact, remember_whole

_TOKENS: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_ENDPOINT: Final = "HF_ENDPOINT"


def token_of_environment() -> str:
    """The token to push with.

    Raises:
        ConfigError: there is none.
    """
    token = next((each for name in _TOKENS if (each := os.environ.get(name, "").strip())), "")
    if not token:
        raise ConfigError(["push=true needs a token that may write, in the environment as HF_TOKEN; nothing was done"])
    remember_whole(token)
    return token


def push(folder: Path, name: str, token: str, *, private: bool) -> str:
    """Put all files of a folder into the Hub's model `name` as one commit; the commit's address.

    The model is made where there is none, `private` or not; what it holds beside these files stays.

    Raises:
        UserError: the Hub cannot be reached, or says no.
    """
    from huggingface_hub import HfApi  # takes a moment
    from huggingface_hub.errors import HfHubHTTPError

    # the error of whichever HTTP client this release of the library has, and OSError
    failures: tuple[type[Exception], ...] = (*cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__), ValueError)
    api = HfApi(endpoint=os.environ.get(_ENDPOINT) or None, token=token)
    try:
        api.create_repo(name, private=private, exist_ok=True)
        done = api.upload_folder(repo_id=name, folder_path=folder, commit_message="Publish a LoRA of a sweeper study")
    except failures as error:
        why = redact(first_line(error))
        raise UserError(f"the Hub did not take {name}: {why}; the files are whole in {folder}") from error
    return str(done.commit_url)
