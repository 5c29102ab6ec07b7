"""A metric is a module and an entry in the registry: all that shows metrics then has it (CONTRIBUTING.md)."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from eval.evaluation import Evaluation
from eval.judge import judge
from eval.judge_file import comparison_table
from eval.metrics import registry
from eval.metrics.registry import DATA, Metric
from eval.metrics.seen import Seen
from eval.needs import lines_on_missing
from eval.spec import EvalSpec
from sweeper.records.objectives import UNMEASURED, values_of
from sweeper.reference.tables import tables_of
from sweeper.results.card import card
from sweeper.results.report import scores
from sweeper.results.winner import Winner
from sweeper.search.space import plan
from sweeper.tracking.metrics import of_evaluation
from tests.eval.test_judge import GOOD, REFERENCE, SPEC
from tests.sweeper.results.test_report import FILES_MADE, winner

__all__ = ["winner"]  # a fixture
WORDS = "brightest coordinate of a picture; lower is better"


@pytest.fixture
def warmth(monkeypatch: pytest.MonkeyPatch) -> str:
    """The module, and the entry."""
    module = ModuleType("eval.metrics.warmth")
    exec("def warmth(seen):\n    return float(seen.clip.samples.max())\n", module.__dict__)
    monkeypatch.setitem(sys.modules, "eval.metrics.warmth", module)
    entry = Metric(
        direction="minimize",
        base_value=0.25,
        description=WORDS,
        needs=(DATA,),
        compute="eval.metrics.warmth:warmth",
    )
    monkeypatch.setitem(registry._BUILT_IN, "warmth", entry)  # type: ignore[index]  # as if it stood there
    return "warmth"


@pytest.fixture
def judged(warmth: str) -> Evaluation:
    return judge(REFERENCE, GOOD, [], SPEC)


def test_every_evaluation_has_it(judged: Evaluation) -> None:
    assert judged.metrics["warmth"] == float(GOOD.samples.max())
    again = Evaluation.from_json(json.loads(json.dumps(judged.to_json())))
    assert again.metrics["warmth"] == judged.metrics["warmth"]


def test_mlflow_and_the_table_of_eval_show_it(judged: Evaluation) -> None:
    assert of_evaluation(judged, None)["eval/warmth"] == judged.metrics["warmth"]
    (row,) = (line.split() for line in comparison_table(judged) if line.startswith("warmth "))
    assert row == ["warmth", f"{judged.metrics['warmth']:.4g}"]
    missing = {"warmth": float("nan")}
    assert lines_on_missing(missing, has_data=False)[0].endswith(f"1 measures need {DATA}: warmth")


def test_card_and_scores_tell_it_beside_the_bases(judged: Evaluation, winner: Winner, tmp_path: Path) -> None:
    told = replace(winner, evaluation=judged)
    assert f"| warmth | {judged.metrics['warmth']:.3g} | – | 0.25 | {WORDS} |" in card(told, tmp_path, FILES_MADE)
    assert scores(told)["base"]["warmth"] == 0.25  # type: ignore[index]


def test_it_may_be_an_objective(judged: Evaluation) -> None:
    study = plan(["+experiment=pencil", "study.objectives=[score,warmth]"]).config.study
    assert study.directions == ("maximize", "minimize")
    assert values_of(judged, study.objectives) == (judged.score, judged.metrics["warmth"])
    assert values_of(replace(judged, metrics={}), ("warmth",)) == (UNMEASURED,)


def test_the_reference_page_lists_it(warmth: str) -> None:
    (table,) = (table for table in tables_of(EvalSpec) if table.name == "METRICS")
    assert list(table.rows[-1])[:4] == ["`warmth`", "`minimize`", "`0.25`", WORDS]


def test_what_breaks_in_it_is_a_defect_of_ours_and_shown(warmth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(seen: Seen) -> float:
        raise ZeroDivisionError

    entry = replace(registry.METRICS["warmth"], compute=broken)
    monkeypatch.setitem(registry._BUILT_IN, "warmth", entry)  # type: ignore[index]
    with pytest.raises(ZeroDivisionError):
        judge(REFERENCE, GOOD, [], SPEC)
