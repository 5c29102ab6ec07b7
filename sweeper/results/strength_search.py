"""Has the winner judged at several strengths, and drawn as people compare them: strength by step by prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from eval.strength import AS_TRAINED, STRENGTH_PROMPTS, STRENGTH_STEPS, choose_strength, gain
from foundation.pictures.sheets import Block, strength_sheet
from sweeper.records.config import Config
from sweeper.records.messages import Draw, Rescored
from sweeper.records.pictures import PROMPT, open_picture, picture_name
from sweeper.records.trials import Trial
from sweeper.study.rescoring import question, rescore
from sweeper.study.supervisor import Supervisor

MIN_SEEDS: Final = 2
"""With fewer, diversity is not measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The strength to use the winner at, and what speaks for it."""

    strength: float
    final: Rescored
    """The judgement at that strength with all fresh seeds."""
    tried: Mapping[float, Rescored]
    """Every strength, judged with the first of them."""
    words: str
    """Why this one."""


def find_strength(supervisor: Supervisor, trial: Trial, final: Rescored, seeds: Sequence[int], config: Config) -> Found:
    """Judge the winner at `study.strengths` and choose one; `final` is its judgement as trained, with all `seeds`.

    All are judged with half the seeds. What looks better so is judged with all of them, since the best of several
    looks better than it is, and must hold its own there.
    """
    clean, step = config.eval.thresholds.clean, final.evaluation.step
    strengths = sorted({AS_TRAINED, *config.study.strengths})
    few = seeds[: max(MIN_SEEDS, len(config.eval.seeds))]
    tried = dict(
        zip(strengths, rescore(supervisor, [question(trial, step, few, seeds, s) for s in strengths]), strict=True)
    )
    looks = choose_strength({strength: each.evaluation for strength, each in tried.items()}, clean)
    if looks == AS_TRAINED:
        words = "No other strength is clean and better by more than one standard error, so it stays as trained."
        return Found(strength=AS_TRAINED, final=final, tried=tried, words=words)
    (again,) = rescore(supervisor, [question(trial, step, seeds, seeds, looks)])
    holds = choose_strength({AS_TRAINED: final.evaluation, looks: again.evaluation}, clean) == looks
    if final.evaluation.overfit_index >= clean and again.evaluation.overfit_index < clean:
        seen = "it is clean, which strength 1 is not"
    else:
        seen = f"its gain over strength 1 is {gain(again.evaluation, final.evaluation)} points"
    use = "so it is the one to use" if holds else "so the LoRA stays as trained"
    words = f"Strength {looks:g} looked best; with all {len(seeds)} seeds {seen}, {use}."
    chosen, judged = (looks, again) if holds else (AS_TRAINED, final)
    return Found(strength=chosen, final=judged, tried=tried, words=words)


def draw_sheet(
    supervisor: Supervisor, trial: Trial, found: Found, seed: int, prompts: Sequence[str], config: Config
) -> Image.Image:
    """Return a sheet of the winner's `trial`, strength by step, a block for each of the first `prompts`.

    `supervisor` lets workers draw, by `config` and with one `seed`. Only what `find_strength` did not draw, which is
    `found`, is drawn: the trial's other checkpoints that are still there.
    """
    step = found.final.evaluation.step
    others = [e.step for e in trial.evaluations if e.step != step and trial.checkpoint(e.step).exists()]
    steps, prompts = sorted({step, *others[1 - STRENGTH_STEPS :]}), prompts[:STRENGTH_PROMPTS]
    folders = {(strength, step): each.pictures for strength, each in found.tried.items()}
    missing = {
        (strength, other): _sketch(trial, other, len(prompts), seed, strength)
        for strength in found.tried
        for other in steps
        if other != step
    }
    supervisor.answers(list(missing.values()))
    folders |= {place: sketch.out for place, sketch in missing.items()}

    def picture(strength: float, at: int, prompt: int) -> Image.Image:
        return open_picture(folders[strength, at] / picture_name(PROMPT, prompt, 0))

    blocks = [
        Block(prompt=text, pictures=[[picture(strength, at, number) for at in steps] for strength in found.tried])
        for number, text in enumerate(prompts)
    ]
    return strength_sheet(
        f"{config.study.name}: trial {trial.name} at several strengths",
        f"seed {seed}; strength 1 is as trained; framed is what is used. Scores at the left are those of step {step}.",
        {strength: f"{each.evaluation.score:.1f}" for strength, each in found.tried.items()},
        [f"step {each}" for each in steps],
        blocks,
        (found.strength, f"step {step}"),
    )


def _sketch(trial: Trial, step: int, prompts: int, seed: int, strength: float) -> Draw:
    out: Path = trial.folder / "samples" / f"strengths-step-{step:06}-strength-{strength:g}"
    return Draw(checkpoint=trial.checkpoint(step), prompts=prompts, seed=seed, out=out, strength=strength)
