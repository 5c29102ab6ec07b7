"""A worker says in one line why it cannot start, before it encodes or draws anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from foundation.bases.port import Base
from foundation.config.compose import compose
from foundation.data.dataset import Dataset
from sweeper.records.config import parse_config
from sweeper.records.messages import Refused
from sweeper.worker.loading import Loaded
from sweeper.worker.worker_main import run_worker
from train.spec import ObjectiveSpec


class Sent(list[Any]):
    """The worker's end of a connection on which nobody answers."""

    def send(self, event: Any) -> None:
        self.append(event)


def test_an_objective_that_the_base_cannot_have_is_refused_at_the_start(tmp_path: Path) -> None:
    config = parse_config(
        compose(["+experiment=pencil", "objective.zero_terminal_snr=true", f"study.folder={tmp_path}"])
    )
    sent: Any = Sent()
    run_worker(config, "cpu", sent, [ObjectiveSpec(), config.objective])
    assert [type(event) for event in sent] == [Refused]
    assert sent[0].reason.startswith("objective.zero_terminal_snr needs a base that predicts v, this one predicts eps")
    assert not list(tmp_path.iterdir())


def test_captions_that_are_cut_are_said(tiny_base: Base, tiny_dataset: Dataset) -> None:
    data: Any = None
    loaded = Loaded(base=tiny_base, dataset=tiny_dataset, data=data)
    assert loaded.notes == ()
    (first, *rest), count = tiny_dataset.train, len(tiny_dataset.train) + len(tiny_dataset.validation)
    dataset = replace(tiny_dataset, train=(replace(first, caption="red " * 100), *rest))
    assert replace(loaded, dataset=dataset).notes == (
        f"1 of {count} captions is longer than the {tiny_base.caption_tokens} tokens that this base reads; "
        "what stands behind them is not learned",
    )
