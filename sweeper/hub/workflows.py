"""ComfyUI workflows with the LoRA: one picture at its strength, and a sheet of strengths by prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sweeper.hub.graph import Graph, Link

_SPACE: Final = 8
_SCHEDULERS: Final = ("normal", "simple")
"""Of bases that predict noise, and of flows; Euler samples both."""
_FLOW: Final = ("sd3", "flux")
FAMILIES: Final = ("stable_diffusion", "sdxl", *_FLOW)
"""Whose checkpoints one core node loads whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """How pictures are drawn."""

    checkpoint: str
    """The base's file in `models/checkpoints`."""
    lora: str
    """The LoRA's in `models/loras`."""
    family: str
    """One of `FAMILIES`."""
    side: int
    steps: int
    guidance: float
    name: str
    """What saved pictures' names begin with."""


def one_picture(how: Picture, prompt: str, strength: float) -> Graph:
    """Return a graph that draws one picture of `prompt` with the LoRA at a strength."""
    graph = Graph()
    model, clip, vae = graph.add("CheckpointLoaderSimple", "The base", (0, 0), ckpt_name=how.checkpoint)
    latent = _latent(graph, how, (0, 5))
    loaded = _lora(graph, how, model, clip, strength, (1, 0))
    image = _draw(graph, how, loaded, latent, vae, prompt, (2, 0))
    graph.add("SaveImage", "Save", (6, 0), images=image, filename_prefix=how.name)
    return graph


def grid(how: Picture, prompts: Sequence[str], strengths: Sequence[float]) -> Graph:
    """Return a graph that draws a sheet: a row for each of `prompts`, in it a picture at each of `strengths`."""
    graph = Graph()
    model, clip, vae = graph.add("CheckpointLoaderSimple", "The base", (0, 0), ckpt_name=how.checkpoint)
    latent = _latent(graph, how, (0, 5))
    loaded = {
        strength: _lora(graph, how, model, clip, strength, (1, 5 * number)) for number, strength in enumerate(strengths)
    }
    rows: list[Link] = []
    for number, prompt in enumerate(prompts):
        images = [
            _draw(graph, how, loaded[at], latent, vae, prompt, (2, 12 * (number * len(strengths) + place)))
            for place, at in enumerate(strengths)
        ]
        rows.append(_stitch(graph, images, "right", (6, 12 * number)))
    words = ", ".join(f"{strength:g}" for strength in strengths)
    sheet = _stitch(graph, rows, "down", (7, 0))
    graph.add("SaveImage", f"Rows: prompts; columns: {words}", (8, 0), images=sheet, filename_prefix=f"{how.name}-grid")
    return graph


def _latent(graph: Graph, how: Picture, at: tuple[int, int]) -> Link:
    kind = "EmptySD3LatentImage" if how.family in _FLOW else "EmptyLatentImage"
    (latent,) = graph.add(kind, "Size", at, width=how.side, height=how.side, batch_size=1)
    return latent


def _lora(
    graph: Graph, how: Picture, model: Link, clip: Link, strength: float, at: tuple[int, int]
) -> tuple[Link, Link]:
    """A loader of the LoRA on `model` and `clip` in the graph, `at` its place; the two with the LoRA."""
    own = {"lora_name": how.lora, "strength_model": strength, "strength_clip": strength}
    with_model, with_clip = graph.add("LoraLoader", f"The LoRA at {strength:g}", at, model=model, clip=clip, **own)
    return with_model, with_clip


def _draw(
    graph: Graph,
    how: Picture,
    loaded: tuple[Link, Link],
    latent: Link,
    vae: Link,
    prompt: str,
    at: tuple[int, int],
) -> Link:
    """The picture of `prompt` by the model and CLIP that were `loaded`, from an empty `latent`, through the `vae`.

    Its nodes are added to `graph` from `at` on; `how` says the rest.
    """
    column, row = at
    model, clip = loaded
    (positive,) = graph.add("CLIPTextEncode", "Prompt", (column, row), text=prompt, clip=clip)
    (negative,) = graph.add("CLIPTextEncode", "Not wanted", (column, row + 4), text="", clip=clip)
    cfg = how.guidance
    if how.family == "flux":  # its guidance is told to the model, and no second pass is made
        (positive,) = graph.add("FluxGuidance", "Guidance", (column + 1, row), conditioning=positive, guidance=cfg)
        cfg = 1.0
    own = {"seed": 0, "steps": how.steps, "cfg": cfg, "sampler_name": "euler", "denoise": 1.0}
    own["scheduler"] = _SCHEDULERS[how.family in _FLOW]
    linked: Mapping[str, Link] = {"model": model, "positive": positive, "negative": negative, "latent_image": latent}
    (samples,) = graph.add("KSampler", "Draw", (column + 2, row), **own, **linked)
    (image,) = graph.add("VAEDecode", "Decode", (column + 3, row), samples=samples, vae=vae)
    return image


def _stitch(graph: Graph, images: Sequence[Link], direction: str, at: tuple[int, int]) -> Link:
    """All images side by side, or one under the other."""
    first, *others = images
    own = {"match_image_size": False, "spacing_width": _SPACE, "spacing_color": "white"}
    for number, image in enumerate(others):
        place = (at[0], at[1] + 5 * number)
        (first,) = graph.add("ImageStitch", "Stitch", place, image1=first, image2=image, direction=direction, **own)
    return first
