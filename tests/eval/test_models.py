"""A judge's models that cannot be there are refused before anything is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eval.models import check_models
from foundation.errors import ConfigError
from sweeper.search.space import plan


def test_a_folder_that_is_there_a_hub_id_and_our_own_are_taken_and_nothing_else(tmp_path: Path) -> None:
    spec = plan(["+experiment=pencil"]).config.eval
    check_models(spec)
    check_models(replace(spec, clip="openai/clip-vit-base-patch32", image_features=str(tmp_path)))
    with pytest.raises(ConfigError) as caught:
        check_models(replace(spec, clip="typo", image_features="./there", style_features=str(tmp_path / "gone")))
    assert [line.split(",")[0].split(" must")[0] for line in caught.value.problems] == [
        "eval.clip",
        "eval.image_features",
        "eval.style_features",
    ]
    assert caught.value.problems[0] == (
        "eval.clip must be a folder or a hub id as owner/name, or pocket, got 'typo': no such folder"
    )
