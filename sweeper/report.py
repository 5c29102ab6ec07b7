"""What a study hands over: the folder `best/` with the winning LoRA, its config, scores, pictures and a card."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image

from eval.diagnosis import REMEDIES, Diagnosis, Kind
from eval.evaluation import Evaluation
from foundation.durable import new_folder, write_json, write_text
from foundation.errors import StudyError
from sweeper.pareto import Front
from sweeper.strength import AS_TRAINED, gain

WEIGHTS: Final = "pytorch_lora_weights.safetensors"
"""The LoRA as diffusers names it; also what a checkpoint's folder holds."""
CONFIG: Final = "config.yaml"
SCORES: Final = "scores.json"
SHEET: Final = "contact_sheet.png"
STRENGTH_SHEET: Final = "strength_sheet.png"
CARD: Final = "card.md"
PARETO: Final = "pareto.png"

MEASURES: Final[Mapping[str, str]] = {
    "score": "the study's objective, at most 100",
    "overfit_index": "0 clean … 1 overfit",
    "val_ratio": "validation loss as a share of the base's; lower is better",
    "style": "way from the base to the held-out pictures; 1 is all of it",
    "prompt_match": "match of picture and prompt, in points; higher is better",
    "prompt_kept": "prompt match as a share of the base's",
    "copy_rate": "share of pictures that copy a training picture, less the base's own",
    "diversity": "spread within a prompt as a share of the base's",
    "drift": "how far pictures of unrelated prompts moved; 0 is best",
    "image_similarity": "similarity to held-out pictures; higher is better",
    "cmmd": "distance to held-out pictures (CMMD); lower is better",
    "kid": "distance to held-out pictures (KID); lower is better",
    "fid": "distance to held-out pictures (FID, biased on so few); lower is better",
}
"""The measures that a card shows, in its order, and how to read each."""
OF_THE_BASE: Final[Mapping[str, float]] = {
    "score": 0.0,
    "overfit_index": 0.0,
    "val_ratio": 1.0,
    "style": 0.0,
    "prompt_kept": 1.0,
    "copy_rate": 0.0,
    "diversity": 1.0,
    "drift": 0.0,
}
"""What the base has by definition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialSummary:
    """One trial as the card's table shows it."""

    number: int
    params: Mapping[str, object]
    """What was searched, dotted name to value."""
    status: str
    """finished, pruned, failed, running …"""
    score: float | None
    """Its best checkpoint's, as the search was told; None without any."""
    step: int | None
    """Where that checkpoint is."""
    reason: str
    """Why it ended."""
    diagnosis: Diagnosis | None = None
    """What its course says about its settings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Winner:
    """What won, and all that its card tells."""

    study: str
    number: int
    """The trial."""
    step: int
    """The checkpoint's training steps."""
    checkpoint: Path
    """Its folder, with `WEIGHTS`."""
    config: str
    """The trial's resolved config as YAML."""
    evaluation: Evaluation
    """The judgement that decided, with fresh seeds."""
    base_metrics: Mapping[str, float] = field(default_factory=dict)
    """The base's own values of metrics that are not 0 or 1 for it by definition."""
    how_chosen: str
    """A sentence or two: among what, by what."""
    contact_sheet: Image.Image
    base: str
    """What `DiffusionPipeline.from_pretrained` takes: a hub id or a folder."""
    trigger: str
    """Phrase that calls up what was learnt; empty for none."""
    prompt: str
    """A prompt to try, trigger included."""
    resolution: int
    sample_steps: int
    guidance_scale: float
    params: Mapping[str, object]
    """What was searched, dotted name to the winner's value."""
    trials: Sequence[TrialSummary]
    """All trials of the study, by number."""
    finalists: Mapping[int, float] = field(default_factory=dict)
    """Trial to its score with fresh seeds, of those that were scored again."""
    front: Front | None = None
    """The Pareto front, in a study of several objectives."""
    strength: float = AS_TRAINED
    """The LoRA scale to use it at; `evaluation` is what it was judged at this."""
    tried: Mapping[float, Evaluation] = field(default_factory=dict)
    """Its judgements at every strength that was tried, of the same prompts and seeds; none where none was."""
    strength_words: str = ""
    """Why this strength."""
    strength_sheet: Image.Image | None = None


def write_best(folder: Path, winner: Winner) -> Path:
    """Write everything about the winner to `folder`, in place of what was there, whole or not at all; its path.

    Raises:
        StudyError: the winner's checkpoint holds no LoRA.
    """
    weights = winner.checkpoint / WEIGHTS
    if not weights.is_file():
        raise StudyError(
            f"the winning checkpoint {winner.checkpoint} has no {WEIGHTS}; run the study again to train it"
        )
    with new_folder(folder) as fresh:
        shutil.copyfile(weights, fresh / WEIGHTS)
        write_text(fresh / CONFIG, winner.config)
        write_json(fresh / SCORES, scores(winner))
        winner.contact_sheet.save(fresh / SHEET)
        if winner.front:
            winner.front.picture.save(fresh / PARETO)
        if winner.strength_sheet:
            winner.strength_sheet.save(fresh / STRENGTH_SHEET)
        write_text(fresh / CARD, card(winner, folder))
    return folder


def scores(winner: Winner) -> dict[str, object]:
    """Return the winner's numbers for JSON: the evaluation that decided, the base's, the finalists'."""
    return {
        "study": winner.study,
        "trial": winner.number,
        "step": winner.step,
        "strength": winner.strength,
        "params": {name: _plain(value) for name, value in winner.params.items()},
        "evaluation": winner.evaluation.to_json(),
        "base": {name: _finite(value) for name, value in _base_metrics(winner).items()},
        "finalists": {str(number): _finite(value) for number, value in winner.finalists.items()},
        "strengths": {f"{strength:g}": evaluation.to_json() for strength, evaluation in winner.tried.items()},
    }


def card(winner: Winner, folder: Path) -> str:
    """Return the card in Markdown; `folder` is where the reader finds the LoRA."""
    parts = [
        f"# {winner.study}: trial {winner.number}, step {winner.step}",
        _opening(winner),
        f"![The base's pictures beside the winner's, prompt by prompt]({SHEET})",
        "## Scores",
        _scores_table(winner),
        f"The judge's words: {winner.evaluation.words}.",
        "## How it was chosen",
        winner.how_chosen,
        *_strengths(winner),
        "## How to use it",
        _usage(winner, folder),
        _front(winner.front) if winner.front else "",
        "## The study",
        _study_line(winner.trials),
        _trials_table(winner),
        _advice(winner.trials),
        f"The winner's whole config is in [{CONFIG}]({CONFIG}), its numbers are in [{SCORES}]({SCORES}).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(winner: Winner) -> str:
    settings = ", ".join(f"`{name}={_text(value)}`" for name, value in winner.params.items())
    trigger = f" It answers to the words **{winner.trigger}** in a prompt." if winner.trigger else ""
    what = f"A LoRA for `{winner.base}`, the best of {len(winner.trials)} trials"
    return f"{what}: {settings}.{trigger}" if settings else f"{what}.{trigger}"


def _scores_table(winner: Winner) -> str:
    evaluation = winner.evaluation
    own = {**evaluation.metrics, "score": evaluation.score, "overfit_index": evaluation.overfit_index}
    base = _base_metrics(winner)
    error = f" ± {_number(evaluation.score_se)}" if math.isfinite(evaluation.score_se) else ""
    rows = [
        (name, f"{_number(own[name])}{error if name == 'score' else ''}", _number(base.get(name)), how)
        for name, how in MEASURES.items()
        if math.isfinite(own.get(name, math.nan))
    ]
    return _table(("measure", "this LoRA", "base", "how to read it"), rows, right=(1, 2))


def _base_metrics(winner: Winner) -> dict[str, float]:
    return {**OF_THE_BASE, **winner.base_metrics}


def _strengths(winner: Winner) -> list[str]:
    """The section on strengths, where any were tried."""
    rows = []
    for strength, evaluation in winner.tried.items():
        cells = [
            f"{strength:g}",
            _number(evaluation.score),
            "–" if strength == AS_TRAINED else str(gain(evaluation, winner.tried[AS_TRAINED])),
            *(_number(evaluation.metrics.get(name)) for name in ("style", "prompt_match")),
            _number(evaluation.overfit_index),
        ]
        rows.append([f"**{cell}**" for cell in cells] if strength == winner.strength else cells)
    if not rows:
        return []
    head = ("strength", "score", "above strength 1", "style", "prompt match", "overfit index")
    return [
        "## How strong",
        "Judged at several LoRA scales, all with the same fresh seeds; 1 is as trained. The scores above are "
        f"at strength {winner.strength:g} with all fresh seeds, those of the trials below are as trained.",
        _table(head, rows, right=range(len(head))),
        winner.strength_words,
        f"![Rows of strengths, columns of steps, blocks of prompts]({STRENGTH_SHEET})" if winner.strength_sheet else "",
    ]


def _usage(winner: Winner, folder: Path) -> str:
    trigger = f"\n\nPut `{winner.trigger}` into every prompt that should have it." if winner.trigger else ""
    return f"""\
```python
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained({winner.base!r})
pipe.load_lora_weights({str(folder)!r}, weight_name="{WEIGHTS}", adapter_name="best")
pipe.set_adapters("best", {winner.strength:g})  # the strength: 1 is as trained, less is weaker
image = pipe(
    {winner.prompt!r},
    width={winner.resolution},
    height={winner.resolution},
    num_inference_steps={winner.sample_steps},
    guidance_scale={winner.guidance_scale:g},
).images[0]
image.save("picture.png")
```{trigger}"""


def _front(front: Front) -> str:
    rows = [(str(each.trial), str(each.step), *map(_number, each.values)) for each in front.places]
    head = ("trial", "at step", *front.aims)
    return "\n\n".join(
        [
            "## The Pareto front",
            "Of the finished clean trials those that no other equals in every objective and beats in one, as they were "
            "judged before the finalists were scored again:",
            _table(head, rows, right=range(len(head))),
            f"![All finished trials by their objectives, the front among them]({PARETO})",
        ]
    )


def _study_line(trials: Sequence[TrialSummary]) -> str:
    counts: dict[str, int] = {}
    for trial in trials:
        counts[trial.status] = counts.get(trial.status, 0) + 1
    return f"{len(trials)} trials: " + ", ".join(f"{count} {status}" for status, count in counts.items()) + "."


def _advice(trials: Sequence[TrialSummary]) -> str:
    """Each diagnosis that was made, of which trials, and what to change."""
    found: dict[Kind, list[int]] = {}
    for trial in trials:
        if trial.diagnosis:
            found.setdefault(trial.diagnosis.kind, []).append(trial.number)
    lines = [
        f"- **{kind}** (trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}): {REMEDIES[kind]}."
        for kind, numbers in sorted(found.items(), key=lambda item: -len(item[1]))
    ]
    return "\n".join(["What their courses say, and what to change next:", "", *lines]) if lines else ""


def _trials_table(winner: Winner) -> str:
    names = list(dict.fromkeys(name for trial in winner.trials for name in trial.params))
    head = ("trial", *names, "score", "at step", "fresh seeds", "how it ended")
    rows = []
    for trial in winner.trials:
        cells = [
            str(trial.number),
            *(_text(trial.params[name]) if name in trial.params else "" for name in names),
            _number(trial.score),
            "–" if trial.step is None else str(trial.step),
            _number(winner.finalists.get(trial.number)),
        ]
        if trial.number == winner.number:
            cells = [f"**{cell}**" if cell else "" for cell in cells]
        rows.append((*cells, f"{trial.status}: {trial.reason}" if trial.reason else trial.status))
    right = (0, *range(len(names) + 1, len(names) + 4))
    return _table(head, rows, right)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> str:
    rule = ["---:" if column in right else "---" for column in range(len(head))]
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in (head, rule, *rows))


def _cell(text: str) -> str:
    """Text that stays in its cell."""
    return " ".join(text.replace("|", "\\|").split())


def _number(value: float | None) -> str:
    """Three digits that say something; a dash for what there is not."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: object) -> object:
    if isinstance(value, float):
        return _finite(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
