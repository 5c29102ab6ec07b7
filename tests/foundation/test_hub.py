"""What is a hub id, as the hub's own client has it, and what of it can be had offline."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub.constants
import pytest
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from foundation.hub import is_hub_id, is_out_of_reach

NAMES = ["a/b", "openai/clip-vit-base-patch32", "o.w_n/m.9", "a--b/c", "a/b..c", "a /b", "a/b/c", "-a/b", "a/b.", "ä/b"]
NAMES += [".a/b", "a/", "/b", "a/" + "b" * 96, "a/" + "b" * 90, "./there", "~/x", "a/b\n", ""]


@pytest.mark.parametrize("name", NAMES)
def test_as_the_hubs_client_has_it(name: str) -> None:
    try:
        validate_repo_id(name)
        theirs = name.count("/") == 1 and name.isascii()
    except HFValidationError:
        theirs = False
    assert is_hub_id(name) == theirs


def test_only_offline_and_only_what_is_in_no_cache_is_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    there = tmp_path / "models--ours--there"
    (there / "refs").mkdir(parents=True)
    (there / "refs/main").write_text("1234")
    (there / "snapshots/1234").mkdir(parents=True)
    (there / "snapshots/1234/config.json").write_text("{}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert not is_out_of_reach("ours/gone", "config.json")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert is_out_of_reach("ours/gone", "config.json")
    assert not is_out_of_reach("ours/there", "config.json")
