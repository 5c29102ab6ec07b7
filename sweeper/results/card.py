"""The card of the winner: what a person reads who finds the LoRA."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from eval.aims import aim_of
from eval.diagnosis import DiagnosisName
from eval.evaluation import Evaluation
from eval.strength import AS_TRAINED, gain
from foundation.adapters.exports.programs import COMFYUI, WEB_UIS
from foundation.bases.folder import EMBEDDED
from sweeper.records.trainings import Training, name_of
from sweeper.results.file_names import CONFIG_FILE, PARETO, SCORES, SHEET, STRENGTH_SHEET, WEIGHTS
from sweeper.results.markdown import code, markdown_table, plain_markdown
from sweeper.results.pareto import Front
from sweeper.results.web_ui_file import HandedOver
from sweeper.results.winner import TrialSummary, Winner, base_metrics, measures

_INTERVAL: Final = (
    "The score's interval is Student's at 95 %, of what each prompt adds to it: so far it may lie elsewhere with other "
    "prompts. Checkpoints and strengths are compared on the same prompts, which is far surer."
)
_IN_TRIAL: Final = (
    "*In its trial* is what this checkpoint was judged as there, with other seeds; MLflow has it under chosen/."
)
_NOTHING: Final = 1e-9
"""What rounding leaves of a number that is 0."""


def card(winner: Winner, folder: Path, files: HandedOver) -> str:
    """Return the card in Markdown; `folder` is where the reader finds the LoRA in these files."""
    parts = [
        f"# {winner.study}: trial {name_of(winner.number)}, step {winner.step}",
        f"> **{winner.within_noise}.**" if winner.within_noise else "",
        _opening(winner),
        f"![The base's pictures beside the winner's, prompt by prompt]({SHEET})",
        "## Scores",
        _scores_table(winner),
        f"The judge's words: {winner.evaluation.words}.",
        "## How it was chosen",
        winner.how_chosen,
        *_over_seeds(winner),
        *_refit(winner),
        *_strengths(winner),
        "## How to use it",
        *_files(winner, files),
        _usage(winner, folder) if files.in_diffusers else _usage_merged(winner, folder),
        _front(winner.front) if winner.front else "",
        "## The study",
        _study_line(winner.trials),
        winner.audit_words,
        _trials_table(winner),
        _took(winner),
        _advice(winner.trials),
        f"The winner's whole config is in [{CONFIG_FILE}]({CONFIG_FILE}), its numbers are in [{SCORES}]({SCORES}).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(winner: Winner) -> str:
    settings = ", ".join(code(f"{_field(name)}={_text(value)}") for name, value in winner.params.items())
    trigger = f" It answers to the words {code(winner.trigger)} in a prompt." if winner.trigger else ""
    made = f", the {winner.made_of}" if winner.made_of else ""
    what = f"A LoRA for {code(_base_name(winner.base))}{made}, the best of {len(winner.trials)} trials"
    return f"{what}: {settings}.{trigger}" if settings else f"{what}.{trigger}"


def _scores_table(winner: Winner) -> str:
    own = _numbers_of(winner.evaluation)
    base = base_metrics(winner)
    before = _numbers_of(winner.in_trial) if winner.in_trial else {}
    low, high = winner.interval
    interval = f" ({_number(low)} to {_number(high)})" if math.isfinite(low) else ""
    rows = [
        (
            name,
            f"{_number(own[name])}{interval if name == 'score' else ''}",
            *((_number(before.get(name)),) if before else ()),
            _number(base.get(name)),
            how,
        )
        for name, how in measures(winner.metrics, aim_of(winner.evaluation.metrics)).items()
        if math.isfinite(own.get(name, math.nan))
    ]
    head = ("measure", "this LoRA", *(("in its trial",) if before else ()), "base", "how to read it")
    notes = " ".join([_INTERVAL] * bool(interval) + [_IN_TRIAL] * bool(before))
    return "\n\n".join([markdown_table(head, rows, right=range(1, len(head) - 1)), *([notes] if notes else [])])


def _numbers_of(evaluation: Evaluation) -> dict[str, float]:
    """Its numbers by `measures`' names."""
    return {**evaluation.metrics, "score": evaluation.score, "overfit_index": evaluation.overfit_index}


def _refit(winner: Winner) -> list[str]:
    """The section on the training with all pictures, where there was one."""
    if not winner.refit_words:
        return []
    own = ""
    if Training.of(winner.number).is_refit:
        own = (
            " The scores above are of the training that it is a refit of, which the held-out pictures can judge; the "
            "refit has learned from them."
        )
    return ["## With all pictures", winner.refit_words + own]


def _over_seeds(winner: Winner) -> list[str]:
    """The section on training seeds, where finalists were trained with several."""
    repeated = [each for each in winner.settings if len(each.scores) > 1]
    if not repeated:
        return []
    rows = []
    for place, each in enumerate(repeated):
        scores = ", ".join(f"{_number(score)} ({name_of(number)})" for number, score in each.scores.items())
        cells = [str(each.trial), _number(each.mean), _number(each.seed_sd), _number(each.prompt_se), scores]
        rows.append([f"**{cell}**" for cell in cells] if not place else cells)
    head = ("trial", "mean score", "± training seeds", "± prompts", "each training's score")
    return [
        "## Over training seeds",
        "The finalists' settings, trained with several training seeds and judged with the same fresh prompts and "
        "seeds; 7.1 is trial 7 once more with a seed higher by 1. ± training seeds is the standard deviation from one "
        "training to another, ± prompts the mean's standard error over the prompts. A training that left no checkpoint "
        "counts as the base, 0.",
        markdown_table(head, rows, right=range(4)),
    ]


def _strengths(winner: Winner) -> list[str]:
    """The section on strengths, where any were tried."""
    rows, aim = [], aim_of(winner.evaluation.metrics).metric
    for strength, evaluation in winner.tried.items():
        cells = [
            f"{strength:g}",
            _number(evaluation.score),
            "–" if strength == AS_TRAINED else str(gain(evaluation, winner.tried[AS_TRAINED])),
            *(_number(evaluation.metrics.get(name)) for name in (aim, "prompt_match")),
            _number(evaluation.overfit_index),
        ]
        rows.append([f"**{cell}**" for cell in cells] if strength == winner.strength else cells)
    if not rows:
        return []
    head = ("strength", "score", "above strength 1", aim, "prompt match", "overfit index")
    return [
        "## How strong",
        "Judged at several LoRA scales, all with the same fresh seeds; 1 is as trained. The numbers above are "
        f"at strength {winner.strength:g} with all fresh seeds; here are the first of them, so score and overfit index "
        "differ a little. The trials below are as trained. ± is one standard error of the difference, paired "
        "over the prompts.",
        markdown_table(head, rows, right=range(len(head))),
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
    files_table = [markdown_table(("file", "program", "how"), rows, right=())] if rows else []
    if files.reason:
        return [*files_table, f"There is no kohya file for A1111, Forge and ComfyUI: {plain_markdown(files.reason)}."]
    return [*files_table, f"`{files.kohya}` is {files.unread}."] if files.unread else files_table


def _usage(winner: Winner, folder: Path) -> str:
    """Code to be run beside the folder: no path of this machine is of use to whoever gets it."""
    trigger = f"\n\nPut {code(winner.trigger)} into every prompt that should have it." if winner.trigger else ""
    return f"""\
```python
import torch
from diffusers import DiffusionPipeline
{_base_line(winner.base)}
pipe = DiffusionPipeline.from_pretrained(base, dtype=torch.float32)
pipe.load_lora_weights({folder.name!r}, weight_name="{WEIGHTS}", adapter_name="best")
pipe.set_adapters("best", {winner.strength:g})  # the strength: 1 is as trained, less is weaker
image = pipe(
    prompt={winner.prompt!r},
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
sweeper export {shlex.quote(folder.name)} merged out=merged  # at strength {winner.strength:g}
```"""


def _front(front: Front) -> str:
    rows = [(str(each.trial), str(each.step), *map(_number, each.values)) for each in front.places]
    head = ("trial", "at step", *front.aims)
    return "\n\n".join(
        [
            "## The Pareto front",
            "Of the finished clean trials those that no other equals in every objective and beats in one, as they were "
            "judged before the finalists were scored again:",
            markdown_table(head, rows, right=range(len(head))),
            f"![All finished trials by their objectives, the front among them]({PARETO})",
        ]
    )


def _study_line(trials: Sequence[TrialSummary]) -> str:
    counts: dict[str, int] = {}
    for trial in trials:
        counts[trial.status] = counts.get(trial.status, 0) + 1
    return f"{len(trials)} trials: " + ", ".join(f"{count} {status}" for status, count in counts.items()) + "."


def _took(winner: Winner) -> str:
    """What the study's devices were at, up to this card."""
    if winner.stages is None or not winner.stages.total:
        return ""
    seconds = asdict(winner.stages)
    whole = winner.stages.total
    cells = [f"{value:.0f} s ({value / whole:.0%})" for value in seconds.values()]
    table = markdown_table((*seconds, "all"), [(*cells, f"{whole:.0f} s")], right=range(len(seconds) + 1))
    return (
        "What all devices together took, up to this card (*finals* is judging finalists and strengths, *idle* the "
        f"rest: waiting and saving):\n\n{table}"
    )


def _advice(trials: Sequence[TrialSummary]) -> str:
    """Each diagnosis that was made, of which trials, and what to change."""
    found: dict[tuple[DiagnosisName, str], list[int]] = {}
    for trial in trials:
        if trial.diagnosis:
            found.setdefault((trial.diagnosis.kind, trial.diagnosis.advice), []).append(trial.number)
    lines = [
        f"- **{kind}** (trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}): {advice}."
        for (kind, advice), numbers in sorted(found.items(), key=lambda item: -len(item[1]))
    ]
    return "\n".join(["What their courses say, and what to change next:", "", *lines]) if lines else ""


def _trials_table(winner: Winner) -> str:
    settings = [{_field(name): value for name, value in trial.params.items()} for trial in winner.trials]
    names = list(dict.fromkeys(name for params in settings for name in params))
    head = ("trial", *names, "score", "at step", "fresh seeds", "trained s", "judged s", "how it ended")
    rows = []
    for trial, params in zip(winner.trials, settings, strict=True):
        cells = [
            str(trial.number),
            *(plain_markdown(_text(params[name])) if name in params else "" for name in names),
            _number(trial.score),
            "–" if trial.step is None else str(trial.step),
            _number(winner.finalists.get(trial.number)),
            *(f"{each.seconds:.0f}" if each.seconds else "–" for each in (trial.costs.training, trial.costs.judging)),
        ]
        if trial.number == Training.of(winner.number).trial:
            cells = [f"**{cell}**" if cell else "" for cell in cells]
        rows.append((*cells, plain_markdown(f"{trial.status}: {trial.reason}" if trial.reason else trial.status)))
    right = (0, *range(len(names) + 1, len(names) + 6))
    return markdown_table(head, rows, right)


def _field(name: str) -> str:
    """A searched value as it is set: `optimizer.lr` of what the search knows as `optimizer=lion:lr`."""
    option, colon, field = name.partition(":")
    return f"{option.partition('=')[0]}.{field}" if colon else name


def _base_name(base: str) -> str:
    """A base without the folders that only this machine has."""
    if embedded := _is_embedded(base):
        return f"{embedded} (embedded)"
    return Path(base).name if Path(base).is_absolute() else base


def _base_line(base: str) -> str:
    """What sets `base` in the code, with a blank line before it."""
    if embedded := _is_embedded(base):
        return f'from foundation.bases.folder import EMBEDDED\n\nbase = str(EMBEDDED["{embedded}"])'
    if Path(base).is_absolute():
        return f"\nbase = {'path/to/' + Path(base).name!r}  # where this pipeline lies on your machine"
    return f"\nbase = {base!r}"


def _is_embedded(base: str) -> str:
    return next((name for name, folder in EMBEDDED.items() if str(folder) == base), "")


def _number(value: float | None) -> str:
    """Three digits that say something; a dash for what there is not."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) < _NOTHING:
        return "0"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
