"""The card of the winner: what a person reads who finds the LoRA."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from eval.diagnosis import Kind
from sweeper.handed_over import HandedOver
from sweeper.markdown import code, plain, table
from sweeper.pareto import Front
from sweeper.strength import AS_TRAINED, gain
from sweeper.winner import (
    CONFIG,
    MEASURES,
    PARETO,
    SCORES,
    SHEET,
    STRENGTH_SHEET,
    WEIGHTS,
    TrialSummary,
    Winner,
    base_metrics,
)
from train.exports.programs import COMFYUI, WEB_UIS

_ERROR: Final = (
    "± is the standard error over prompts, of which some are harder than others. "
    "Checkpoints and strengths are compared on the same prompts, which is far surer."
)
_NOTHING: Final = 1e-9
"""What rounding leaves of a number that is 0."""


def card(winner: Winner, folder: Path, files: HandedOver) -> str:
    """Return the card in Markdown; `folder` is where the reader finds the LoRA in these files."""
    parts = [
        f"# {winner.study}: trial {winner.number}, step {winner.step}",
        f"> **{winner.within_noise}.**" if winner.within_noise else "",
        _opening(winner),
        f"![The base's pictures beside the winner's, prompt by prompt]({SHEET})",
        "## Scores",
        _scores_table(winner),
        f"The judge's words: {winner.evaluation.words}.",
        "## How it was chosen",
        winner.how_chosen,
        *_strengths(winner),
        "## How to use it",
        *_files(winner, files),
        _usage(winner, folder) if files.in_diffusers else _usage_merged(winner, folder),
        _front(winner.front) if winner.front else "",
        "## The study",
        _study_line(winner.trials),
        _trials_table(winner),
        _advice(winner.trials),
        f"The winner's whole config is in [{CONFIG}]({CONFIG}), its numbers are in [{SCORES}]({SCORES}).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(winner: Winner) -> str:
    settings = ", ".join(code(f"{name}={_text(value)}") for name, value in winner.params.items())
    trigger = f" It answers to the words {code(winner.trigger)} in a prompt." if winner.trigger else ""
    what = f"A LoRA for {code(winner.base)}, the best of {len(winner.trials)} trials"
    return f"{what}: {settings}.{trigger}" if settings else f"{what}.{trigger}"


def _scores_table(winner: Winner) -> str:
    evaluation = winner.evaluation
    own = {**evaluation.metrics, "score": evaluation.score, "overfit_index": evaluation.overfit_index}
    base = base_metrics(winner)
    error = f" ± {_number(evaluation.score_se)}" if math.isfinite(evaluation.score_se) else ""
    rows = [
        (name, f"{_number(own[name])}{error if name == 'score' else ''}", _number(base.get(name)), how)
        for name, how in MEASURES.items()
        if math.isfinite(own.get(name, math.nan))
    ]
    scores = table(("measure", "this LoRA", "base", "how to read it"), rows, right=(1, 2))
    return f"{scores}\n\n{_ERROR}" if error else scores


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
        table(head, rows, right=range(len(head))),
        winner.strength_words,
        f"![Rows of strengths, columns of steps, blocks of prompts]({STRENGTH_SHEET})" if winner.strength_sheet else "",
    ]


def _files(winner: Winner, files: HandedOver) -> list[str]:
    """Which file is for which program, and why one is missing."""
    prompt = f", and {code(winner.trigger)} in the prompt" if winner.trigger else ""
    rows = [(f"`{WEIGHTS}`", "diffusers", "the code below")] if files.in_diffusers else []
    if files.kohya:
        name = files.kohya.removesuffix(".safetensors")
        a1111 = f"into `models/Lora`, then `<lora:{name}:{winner.strength:g}>`{prompt}"
        comfyui = f"into `models/loras`, then *Load LoRA* with both strengths at {winner.strength:g}{prompt}"
        web_uis = ", ".join(program for program in files.read_by if program in WEB_UIS)
        rows += [(f"`{files.kohya}`", web_uis, a1111)] if web_uis else []
        rows += [(f"`{files.kohya}`", COMFYUI, comfyui)] if COMFYUI in files.read_by else []
    files_table = [table(("file", "program", "how"), rows, right=())] if rows else []
    if files.reason:
        return [*files_table, f"There is no kohya file for A1111, Forge and ComfyUI: {plain(files.reason)}."]
    return [*files_table, f"`{files.kohya}` is {files.unread}."] if files.unread else files_table


def _usage(winner: Winner, folder: Path) -> str:
    trigger = f"\n\nPut {code(winner.trigger)} into every prompt that should have it." if winner.trigger else ""
    return f"""\
```python
import torch
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained({winner.base!r}, dtype=torch.float32)
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


def _usage_merged(winner: Winner, folder: Path) -> str:
    """For kinds that diffusers does not load."""
    return f"""\
diffusers does not load this kind. The pipeline with it in its weights draws as any other:

```sh
python -m sweeper.export {shlex.quote(str(folder))} merged out=merged  # at strength {winner.strength:g}
```"""


def _front(front: Front) -> str:
    rows = [(str(each.trial), str(each.step), *map(_number, each.values)) for each in front.places]
    head = ("trial", "at step", *front.aims)
    return "\n\n".join(
        [
            "## The Pareto front",
            "Of the finished clean trials those that no other equals in every objective and beats in one, as they were "
            "judged before the finalists were scored again:",
            table(head, rows, right=range(len(head))),
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
    found: dict[tuple[Kind, str], list[int]] = {}
    for trial in trials:
        if trial.diagnosis:
            found.setdefault((trial.diagnosis.kind, trial.diagnosis.advice), []).append(trial.number)
    lines = [
        f"- **{kind}** (trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}): {advice}."
        for (kind, advice), numbers in sorted(found.items(), key=lambda item: -len(item[1]))
    ]
    return "\n".join(["What their courses say, and what to change next:", "", *lines]) if lines else ""


def _trials_table(winner: Winner) -> str:
    names = list(dict.fromkeys(name for trial in winner.trials for name in trial.params))
    head = ("trial", *names, "score", "at step", "fresh seeds", "how it ended")
    rows = []
    for trial in winner.trials:
        cells = [
            str(trial.number),
            *(plain(_text(trial.params[name])) if name in trial.params else "" for name in names),
            _number(trial.score),
            "–" if trial.step is None else str(trial.step),
            _number(winner.finalists.get(trial.number)),
        ]
        if trial.number == winner.number:
            cells = [f"**{cell}**" if cell else "" for cell in cells]
        rows.append((*cells, plain(f"{trial.status}: {trial.reason}" if trial.reason else trial.status)))
    right = (0, *range(len(names) + 1, len(names) + 4))
    return table(head, rows, right)


def _number(value: float | None) -> str:
    """Three digits that say something; a dash for what there is not."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) < _NOTHING:
        return "0"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
