"""What `sweeper merge` does once its arguments are understood."""

from __future__ import annotations

from pathlib import Path

from foundation.adapters.exports import About, SavedAdapter, file_title, read_adapter, readers_of, write_format
from foundation.adapters.merge import pipeline
from foundation.adapters.merge.combine import combine
from foundation.adapters.merge.request import MergeRequest
from foundation.adapters.merge.resize import resize
from foundation.bases.folder import EMBEDDED
from foundation.bases.registry import DTYPES
from foundation.console import say
from foundation.files.durable import new_folder
from foundation.json_output import give


def merge_as_asked(request: MergeRequest) -> None:
    """Carry out a request into a new folder, whole or not at all.

    Raises:
        UserError: a LoRA or the base cannot be read, or they do not fit.
    """
    title = file_title(request.title or Path(request.out).name)
    adapters = [read_adapter(Path(lora)) for lora in request.lora]
    out = Path(request.out)
    if request.verb in ("merge", "unmerge"):
        _into_pipeline(request, adapters, out)
        give(folder=out)
        say(f"{out} is a pipeline: DiffusionPipeline.from_pretrained({str(out)!r})")
        return
    if request.verb == "resize":
        assert request.recipe.rank is not None
        resized = resize(adapters[0], request.recipe.rank)
        result = resized.adapter
        say(
            f"rank {request.recipe.rank} keeps {resized.kept:.1%} of the update's norm; "
            f"least, {resized.worst:.1%}, of {resized.worst_layer}",
        )
    else:
        result = combine(adapters, request.weights, request.recipe)
    give(folder=out)
    with new_folder(out) as fresh:
        for name in request.format:
            about = About(title=title)
            written = write_format(name, result, fresh, about)
            say(f"{name}: {out / written.relative_to(fresh)} {readers_of(name, result, about)}")


def _into_pipeline(request: MergeRequest, adapters: list[SavedAdapter], out: Path) -> None:
    pipe = pipeline.open_pipeline(str(EMBEDDED.get(request.base, request.base)))
    given = list(zip(adapters, request.weights, strict=True))
    if request.verb == "merge":
        pipeline.merge_all(pipe, given)
    else:
        pipeline.unmerge_all(pipe, given)
    pipeline.write_pipeline(pipe.to(dtype=DTYPES[request.precision]), out)
