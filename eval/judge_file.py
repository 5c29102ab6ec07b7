"""`sweeper eval`: judge one LoRA file, whoever trained it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from eval.bench import Bench
from eval.diagnosis import diagnose
from eval.evaluation import Evaluation
from eval.needs import lines_on_missing
from eval.request import EvalRequest
from foundation.adapters.files import read_parts
from foundation.console import columns, say
from foundation.files import durable
from foundation.json_output import give

COMPARE = "figures compare with those of the same base, pictures, prompts, seeds, steps, sampler and guidance alone"


def judge_file(request: EvalRequest) -> Evaluation:
    """Draw, look and judge; print the table, write the files that the request names.

    Raises:
        UserError: the LoRA, the base, the CLIP or the data cannot be used.
    """
    lora = request.lora[0]
    read_parts(Path(lora))  # what is no LoRA should not wait for the base
    bench = Bench.of(request)
    seen, acting = bench.look_at(Path(lora))  # first, since it may not fit
    evaluation = bench.evaluate(seen)
    say(
        f"{lora} ({acting}) on {request.base.path}",
        *comparison_table(evaluation),
        verdict_on(evaluation, bench.spec.thresholds.clean),
        *lines_on_missing(evaluation.metrics, request.data is not None, request.metric),
        COMPARE,
    )
    figures = {"lora": lora, "base": request.base.path} | evaluation.to_json()
    give(**figures)
    if request.json is not None:
        durable.write_json(Path(request.json), figures)
    if request.samples is not None:
        write_samples(Path(request.samples), bench.plain.samples, seen.samples, len(bench.spec.seeds))
    return evaluation


def verdict_on(evaluation: Evaluation, clean: float) -> str:
    """What is to be said of a LoRA that was judged once: its diagnosis and the signs of overfit, in one line."""
    diagnosis = diagnose([evaluation], clean)
    if diagnosis is None or math.isnan(evaluation.overfit_index):
        return evaluation.words
    why = [] if diagnosis.kind == "overfit" else [diagnosis.because]  # which would be its words again
    return f"verdict: {diagnosis.kind}: {'; '.join([*why, evaluation.words])}"


def comparison_table(evaluation: Evaluation) -> list[str]:
    """An evaluation in lines; what could not be measured is a dash."""
    rows = [
        ("score", f"{cell(evaluation.score)} ± {cell(evaluation.score_se)}", ""),
        ("overfit index", cell(evaluation.overfit_index), ""),
    ]
    severe = {"copy_rate": "copy"} | {name: name for name in evaluation.severities}
    for name, value in evaluation.metrics.items():
        part = evaluation.severities.get(severe.get(name, ""))
        rows.append((name, cell(value), "" if part is None else cell(part)))
    return columns(("measure", "value", "severity"), rows, right=(1, 2))


def cell(value: float) -> str:
    """A number in a table; a dash for none."""
    return "–" if value != value else f"{value:.4g}"


def write_samples(folder: Path, base: Sequence[Image.Image], seen: Sequence[Image.Image], num_seeds: int) -> None:
    """Write what was drawn, each prompt and seed without and with the LoRA, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (without, drawn) in enumerate(zip(base, seen, strict=True)):
        name = f"prompt{number // num_seeds:02d}-seed{number % num_seeds}"
        without.save(folder / f"{name}-base.png")
        drawn.save(folder / f"{name}-lora.png")
