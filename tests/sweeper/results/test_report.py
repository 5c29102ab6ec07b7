"""The folder `best/`: whole or absent, its card true and its code block one that runs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from diffusers import DiffusionPipeline
from peft.tuners.lora.layer import LoraLayer
from PIL import Image

from eval.diagnosis import Diagnosis, DiagnosisName
from eval.evaluation import Evaluation
from foundation.bases.folder import base_location
from foundation.bases.port import Base
from foundation.errors import StudyError
from foundation.files.sums import SUMS, damage, write_sums
from sweeper.records.costs import Cost, Costs
from sweeper.results.card import card
from sweeper.results.pareto import Front, FrontPoint
from sweeper.results.report import read_chosen, scores, write_best
from sweeper.results.web_ui_file import HandedOver
from sweeper.results.winner import TrialSummary, Winner
from sweeper.study.stages import Stages
from tests.hostile_path import HOSTILE
from train.adapters import TrialAdapter
from train.spec import AdapterSpec, BaseSpec

FILES = {"pytorch_lora_weights.safetensors", "config.yaml", "scores.json", "contact_sheet.png", "card.md", SUMS}
FILES_MADE = HandedOver(kohya="pencil.safetensors")


@pytest.fixture
def winner(tmp_path: Path) -> Winner:
    checkpoint = tmp_path / "step-000160"
    checkpoint.mkdir()
    (checkpoint / "pytorch_lora_weights.safetensors").write_bytes(b"weights")
    evaluation = Evaluation(
        step=160,
        score=71.42,
        score_se=2.13,
        overfit_index=0.1,
        overfit=False,
        words="no sign of overfit",
        severities={"copy": 0.0},
        metrics={
            "style": 0.81,
            "val_ratio": 0.4321,
            "prompt_match": 88.25,
            "drift": 0.124,
            "kid": math.nan,
            "val_t": math.inf,
        },
        validation_losses=(0.1,),
    )
    params = {"adapter.rank": 16, "optimizer": "lion", "optimizer.lr": 0.000123456}
    return Winner(
        study="pencil",
        number=1,
        step=160,
        checkpoint=checkpoint,
        config="adapter: {rank: 16}\n",
        evaluation=evaluation,
        base_metrics={"prompt_match": 60.0, "drift": -2.8e-16, "fid": math.nan},
        chosen_from="these three",
        how_chosen="The best 2 trials drew again with 8 fresh seeds; this one scored highest.",
        contact_sheet=Image.new("RGB", (30, 20), "red"),
        base="weights/pipeline",
        trigger="in pencil style",
        prompt="a red cup on grass, in pencil style",
        resolution=64,
        sample_steps=25,
        guidance_scale=5.0,
        params=params,
        trials=[
            TrialSummary(
                number=0, params={"adapter.rank": 4}, status="failed", score=None, step=None, reason="loss is nan | x"
            ),
            TrialSummary(
                number=1,
                params=params,
                status="finished",
                score=70.0,
                step=160,
                reason="all steps done",
                costs=Costs(training=Cost(seconds=41.2)),
            ),
            TrialSummary(
                number=2, params=params | {"adapter.rank": 4}, status="pruned", score=20.5, step=40, reason="hopeless"
            ),
        ],
        finalists={1: 71.42, 2: math.nan},
        interval=(62.0, 80.9),
        in_trial=replace(evaluation, score=70.0, metrics={"val_ratio": 0.4}),
    )


def test_the_folder_holds_all_of_the_winner(winner: Winner, tmp_path: Path) -> None:
    best = write_best(tmp_path / "best", winner)
    assert {path.name for path in best.iterdir()} == FILES
    assert (best / "pytorch_lora_weights.safetensors").read_bytes() == b"weights"
    assert (best / "config.yaml").read_text() == winner.config
    with Image.open(best / "contact_sheet.png") as sheet:
        assert sheet.size == (30, 20)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_best_of_which_any_file_is_damaged_is_not_taken_for_chosen(name: str, winner: Winner, tmp_path: Path) -> None:
    best = write_best(tmp_path / "best", winner)
    assert read_chosen(best, winner.chosen_from) is not None
    content = bytearray((best / name).read_bytes())
    content[len(content) // 2] ^= 1
    (best / name).write_bytes(content)
    assert read_chosen(best, winner.chosen_from) is None
    assert damage(write_best(best, winner)) == ""


def test_a_damaged_checkpoint_is_not_made_the_best(winner: Winner, tmp_path: Path) -> None:
    write_sums(winner.checkpoint)
    (winner.checkpoint / "pytorch_lora_weights.safetensors").write_bytes(b"weighty")
    with pytest.raises(StudyError, match=r"safetensors is damaged .*; run the study again to train it"):
        write_best(tmp_path / "best", winner)
    assert not (tmp_path / "best").exists()


def test_scores_are_json_and_the_evaluation_comes_back(winner: Winner, tmp_path: Path) -> None:
    values = json.loads((write_best(tmp_path / "best", winner) / "scores.json").read_text())
    read = Evaluation.from_json(values["evaluation"])
    assert (read.score, read.metrics["style"]) == (71.42, 0.81)
    assert values["base"]["prompt_match"] == 60.0
    assert values["base"]["val_ratio"] == 1.0
    assert values["base"]["fid"] is None
    assert values["finalists"] == {"1": 71.42, "2": None}
    assert values == json.loads(json.dumps(scores(winner)))


def test_a_best_within_noise_of_the_base_is_said_on_top_of_the_card(winner: Winner, tmp_path: Path) -> None:
    unsure = replace(winner, within_noise="Nothing was learned for sure: the best is +0.2 points above the base")
    lines = card(unsure, tmp_path, FILES_MADE).splitlines()
    assert lines[2] == f"> **{unsure.within_noise}.**"
    assert not card(winner, tmp_path, FILES_MADE).splitlines()[2].startswith(">")
    chosen = read_chosen(write_best(tmp_path / "best", unsure), winner.chosen_from)
    assert chosen is not None and chosen.within_noise == unsure.within_noise


def test_what_was_chosen_is_known_again_while_it_is_whole_and_nothing_is_new(winner: Winner, tmp_path: Path) -> None:
    best = write_best(tmp_path / "best", winner)
    chosen = read_chosen(best, "these three")
    assert chosen is not None
    assert (chosen.number, chosen.strength, chosen.evaluation.score) == (1, 1.0, 71.42)
    assert read_chosen(best, "these four") is None
    assert read_chosen(tmp_path / "nowhere", "these three") is None
    for name, content in (("pytorch_lora_weights.safetensors", None), ("scores.json", "{"), ("scores.json", "[]")):
        spoilt = write_best(tmp_path / "spoilt", winner) / name
        spoilt.unlink()
        if content is not None:
            spoilt.write_text(content)
        assert read_chosen(spoilt.parent, "these three") is None


def test_the_card_tells_what_won_how_and_against_what(winner: Winner, tmp_path: Path) -> None:
    text = card(winner, tmp_path / "best", FILES_MADE)
    assert "# pencil: trial 1, step 160" in text
    assert "`adapter.rank=16`, `optimizer=lion`, `optimizer.lr=0.0001235`" in text
    assert "`in pencil style`" in text
    assert "| score | 71.4 (62.0 to 80.9) | 70.0 | 0 |" in text
    assert "| val_ratio | 0.432 | 0.4 | 1 |" in text
    assert "| prompt_match | 88.2 | – | 60.0 |" in text
    assert "| drift | 0.124 | – | 0 |" in text  # what rounding leaves of the base's is nothing
    assert not re.search(r"\| (kid|val_t) \|", text)  # what was not measured has no row
    assert winner.how_chosen in text
    assert "3 trials: 1 failed, 1 finished, 1 pruned." in text
    assert "| 0 | 4 |  |  | – | – | – | – | – | failed: loss is nan \\| x |" in text
    assert (
        "| **1** | **16** | **lion** | **0.0001235** | **70.0** | **160** | **71.4** | **41** | **–** | finished: all "
        "steps done |" in text
    )
    assert "nan |" not in text.replace("nan \\|", "")
    tables = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")]
    assert len(set(tables)) == 3  # every row of a table has as many cells as its head


def test_the_card_says_what_all_took_stage_by_stage(winner: Winner, tmp_path: Path) -> None:
    assert "What all devices together took" not in card(winner, tmp_path, FILES_MADE)
    stages = Stages(loading=10.0, training=60.0, judging=20.0, finals=5.0, idle=5.0)
    text = card(replace(winner, stages=stages), tmp_path, FILES_MADE)
    assert "| loading | training | judging | finals | idle | all |" in text
    assert "| 10 s (10%) | 60 s (60%) | 20 s (20%) | 5 s (5%) | 5 s (5%) | 100 s |" in text


def test_the_card_says_what_to_change_next(winner: Winner, tmp_path: Path) -> None:
    said: list[tuple[DiagnosisName, str]] = [
        ("overfit", "fewer steps"),
        ("underfit", "more steps"),
        ("overfit", "fewer steps"),
    ]
    told = [
        replace(trial, diagnosis=Diagnosis(kind=kind, because="seen", advice=advice))
        for trial, (kind, advice) in zip(winner.trials, said, strict=True)
    ]
    text = card(replace(winner, trials=told), tmp_path, FILES_MADE)
    assert "- **overfit** (trials 0, 2): fewer steps." in text
    assert "- **underfit** (trial 1): more steps." in text
    assert "What their courses say" not in card(winner, tmp_path, FILES_MADE)


def test_the_card_shows_every_strength_and_says_which_to_use(winner: Winner, tmp_path: Path) -> None:
    assert "How strong" not in card(winner, tmp_path, FILES_MADE)
    scores_of_prompts = {0.6: (60.0, 76.0, 80.0), 1.0: (58.0, 73.0, 76.0), 1.2: (40.0, 80.0, 70.0)}
    judged = {
        strength: replace(winner.evaluation, score=sum(own) / 3, prompt_scores=own)
        for strength, own in scores_of_prompts.items()
    }
    told = replace(
        winner, strength=0.6, tried=judged, strength_words="It is better.", strength_sheet=Image.new("RGB", (9, 8))
    )
    best = write_best(tmp_path / "best", told)
    text = (best / "card.md").read_text()
    assert "| **0.6** | **72.0** | **+3.0 ± 0.6** | **0.81** | **88.2** | **0.1** |" in text
    assert "| 1 | 69.0 | – | 0.81 | 88.2 | 0.1 |" in text
    assert "It is better." in text and "](strength_sheet.png)" in text
    assert 'pipe.set_adapters("best", 0.6)' in text
    assert {path.name for path in best.iterdir()} == FILES | {"strength_sheet.png"}
    values = json.loads((best / "scores.json").read_text())
    assert values["strength"] == 0.6
    assert {strength: each["score"] for strength, each in values["strengths"].items()} == {
        "0.6": 72.0,
        "1": 69.0,
        "1.2": pytest.approx(190 / 3),
    }


def test_the_card_says_what_the_error_of_a_score_is_where_there_is_one(winner: Winner, tmp_path: Path) -> None:
    unsure = replace(winner, interval=(math.nan, math.nan))
    assert "The score's interval is Student's at 95 %" in card(winner, tmp_path, FILES_MADE)
    assert "| score | 71.4 | 70.0 | 0 |" in card(unsure, tmp_path, FILES_MADE)
    assert "interval" not in card(unsure, tmp_path, FILES_MADE)


def test_the_card_has_no_names_of_the_search_and_no_paths_of_this_machine(winner: Winner, tmp_path: Path) -> None:
    params = {"optimizer": "lion", "optimizer=lion:lr": 0.25}
    other = replace(winner.trials[0], params={"optimizer": "adamw", "optimizer=adamw:lr": 0.5})
    there = replace(winner, params=params, trials=[other, replace(winner.trials[1], params=params)], base=str(tmp_path))
    text = card(there, tmp_path / "best", FILES_MADE)
    assert str(tmp_path) not in text
    assert "=lion:" not in text
    assert "`optimizer=lion`, `optimizer.lr=0.25`" in text
    assert "| trial | optimizer | optimizer.lr | score |" in text
    assert "| 0 | adamw | 0.5 | – |" in text
    embedded = card(
        replace(winner, base=base_location(BaseSpec(name="pocket", path="pocket", resolution=64))), tmp_path, FILES_MADE
    )
    assert "A LoRA for `pocket (embedded)`" in embedded
    assert 'base = str(EMBEDDED["pocket"])' in embedded
    assert 'base = "owner/name"' in card(replace(winner, base="owner/name"), tmp_path, FILES_MADE).replace("'", '"')


def test_a_card_without_trigger_says_nothing_of_one(winner: Winner, tmp_path: Path) -> None:
    text = card(replace(winner, trigger="", prompt="a red cup"), tmp_path, FILES_MADE)
    assert "answers to" not in text
    assert "into every prompt" not in text


def test_a_new_winner_replaces_the_old_one_whole(winner: Winner, tmp_path: Path) -> None:
    best = write_best(tmp_path / "best", winner)
    (best / "left.txt").write_text("from before")
    write_best(best, replace(winner, step=200))
    assert {path.name for path in best.iterdir()} == FILES
    assert "step 200" in (best / "card.md").read_text()


def test_a_study_of_several_objectives_shows_its_front(winner: Winner, tmp_path: Path) -> None:
    front = Front(
        aims=["style (higher is better)", "drift (lower is better)"],
        places=[
            FrontPoint(trial=1, step=160, values=(0.81, 0.125)),
            FrontPoint(trial=4, step=40, values=(0.4, math.nan)),
        ],
        picture=Image.new("RGB", (40, 20), "blue"),
    )
    best = write_best(tmp_path / "best", replace(winner, front=front))
    assert {path.name for path in best.iterdir()} == {*FILES, "pareto.png"}
    text = (best / "card.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert "| trial | at step | style (higher is better) | drift (lower is better) |" in table
    assert "| 1 | 160 | 0.81 | 0.125 |" in table
    assert "| 4 | 40 | 0.4 | – |" in table
    assert "Pareto" not in card(winner, tmp_path, FILES_MADE)


def test_a_missing_checkpoint_leaves_the_old_folder_as_it_was(winner: Winner, tmp_path: Path) -> None:
    best = write_best(tmp_path / "best", winner)
    with pytest.raises(StudyError, match=r"nowhere has no pytorch_lora_weights\.safetensors"):
        write_best(best, replace(winner, checkpoint=tmp_path / "nowhere"))
    assert {path.name for path in best.iterdir()} == FILES
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".best")] == []


def test_the_cards_code_block_draws_with_the_lora(
    winner: Winner,
    tiny_pipeline: Path,
    new_base: Callable[[], Base],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base, checkpoint = new_base(), tmp_path / "real"
    checkpoint.mkdir()
    TrialAdapter(base, "a", AdapterSpec(rank=2), seed=0, steps=1).save(checkpoint)
    real = replace(winner, checkpoint=checkpoint, base=str(tiny_pipeline), resolution=32, sample_steps=1, strength=0.6)
    best = write_best(tmp_path / "best", real)
    block = re.search(r"```python\n(.*?)```", (best / "card.md").read_text(), re.DOTALL)
    assert block is not None
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    code = re.sub(r"'path/to/.*'.*", repr(str(tiny_pipeline)), block[1])  # as its reader does
    exec(code, names)
    pipe = names["pipe"]
    assert isinstance(pipe, DiffusionPipeline)
    assert pipe.get_active_adapters() == ["best"]
    layer = next(module for module in pipe.unet.modules() if isinstance(module, LoraLayer))
    assert layer.scaling == {"best": pytest.approx(0.6 * AdapterSpec(rank=2).alpha_ratio)}
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (32, 32)


def test_text_of_users_is_neither_a_tag_nor_a_link_nor_a_column(winner: Winner, tmp_path: Path) -> None:
    trials = [replace(each, reason=HOSTILE, params={"optimizer": HOSTILE}) for each in winner.trials]
    told = replace(winner, trigger=HOSTILE, base=HOSTILE, params={"data.name": HOSTILE}, trials=trials)
    text = card(told, tmp_path / HOSTILE, HandedOver(reason=HOSTILE))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    prose = re.sub(r"(?<![`\\])(`+)(?!`).*?[^`]\1(?!`)", "", prose)
    assert r"b\>" in prose
    assert not re.search(r"(?<!\\)(<b>|\[v2|\*x|`)", prose)
    rows = [line for line in text.splitlines() if HOSTILE[:5] in line and line.startswith("|")]
    assert len(rows) == len(trials)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9}
