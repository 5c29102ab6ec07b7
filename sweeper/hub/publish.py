"""What `sweeper export STUDY hub=owner/name` does: a folder ready for the Hub, and on it where that is told."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from foundation.adapters.exports import about_of, file_title, read_adapter, readers_of, takes_base, write_format
from foundation.adapters.exports.adapter import SavedAdapter
from foundation.adapters.exports.layer_names import names_of
from foundation.adapters.exports.programs import COMFYUI, WEB_UIS
from foundation.data.images import read_rgb
from foundation.errors import ConfigError, UserError, first_line
from foundation.files.durable import new_folder, write_bytes, write_json, write_text
from foundation.json_output import give
from foundation.secrets import Held
from sweeper.export_files import source_of
from sweeper.hub.civitai import header_of
from sweeper.hub.model_card import Files, Terms, model_card
from sweeper.hub.published import Published, read_published
from sweeper.hub.push import push, token_of_environment
from sweeper.hub.workflows import FAMILIES, Picture, grid, one_picture
from sweeper.results.bases import layers_of_base

_CARD: Final = "README.md"
_STRENGTHS: Final = (0.4, 0.6, 0.8, 1.0, 1.2)
_GRID_PROMPTS: Final = 3
_SIDES: Final = 16
"""Sizes are whole numbers of these in every family."""


def publish(target: str, keys: Mapping[str, str]) -> list[str]:
    """Write what `sweeper.export_request.parse` has read; a line for each thing that was done.

    Raises:
        UserError: a key, the LoRA or what lies beside it is wrong, or the Hub says no.
    """
    token = token_of_environment() if keys.get("push") == "true" else ""
    source = source_of(target, Path(keys.get("folder", "multirun")))
    told = read_published(source)
    default = source.path.with_suffix("") if source.path.is_file() else source.path
    out = Path(keys.get("out") or f"{default}-hub")
    if out.exists():
        raise ConfigError([f"out {out} exists already; name a new folder, nothing is overwritten"])
    title = file_title(keys.get("title", source.title))
    terms = Terms(
        hub=keys["hub"],
        license=keys["license"],
        license_name=keys.get("license_name", ""),
        license_link=keys.get("license_link", ""),
        author=keys.get("author", ""),
    )
    adapter = read_adapter(source.path)
    with new_folder(out) as fresh:
        files = _files(fresh, adapter, told, terms, title, source.config)
        card = model_card(replace(told, study=title), terms, files)
        write_text(fresh / _CARD, card)
        _refuse_secrets(fresh)
    names = list(_names_of(files))
    give(folder=out, files=[out / name for name in names], strength=told.strength, pushed=None)
    lines = [f"{name}: {out / name}" for name in names]
    lines += [f"note: {note}" for note in files.notes]
    if not token:
        return [*lines, f"nothing was sent; push=true puts it there as {keys['hub']}, with HF_TOKEN of the environment"]
    private = keys.get("private", "true") == "true"
    address = push(out, keys["hub"], token, private=private)
    give(pushed=address)
    return [*lines, f"pushed{' as a private model' if private else ''}: {address}"]


def _names_of(files: Files) -> Iterator[str]:
    yield _CARD
    if files.kohya:
        yield files.kohya
    yield from files.workflows


def _files(
    fresh: Path, adapter: SavedAdapter, told: Published, terms: Terms, title: str, config: Mapping[str, Any]
) -> Files:
    """Write all but the card into a folder: what there is.

    `adapter` is the LoRA of `config`, `told` what is told of it; `terms` and `title` go into its header.
    """
    notes: list[str] = []
    names = names_of(adapter, "" if told.family == "auto" else told.family)
    about = about_of(config, title, told.step, datetime.now(UTC).isoformat(timespec="seconds"))
    about = replace(about, more=header_of(replace(told, study=title), terms, names.title))
    kohya, web_uis = "", list[str]()
    try:
        base = layers_of_base(adapter, config) if takes_base("kohya", adapter) else None
        kohya = write_format("kohya", adapter, fresh, about, base).name
        readers = readers_of("kohya", adapter, about)
        web_uis = [program for program in readers.read if program in (*WEB_UIS, COMFYUI)]
    except UserError as error:
        notes.append(f"no file for A1111, Forge and ComfyUI: {first_line(error)}")
    in_diffusers = adapter.kinds == {"LORA"} and not adapter.changes
    if in_diffusers:
        write_format("diffusers", adapter, fresh, about)
    else:
        notes.append("no file for diffusers, which loads LoRA only")
    images = [_image(fresh, number, prompt, file) for number, (prompt, file) in enumerate(told.pictures, start=1)]
    if not images:
        notes.append("no gallery: the pictures of the study's end are not there any more")
    write_json(fresh / "training.json", {"step": told.step, "strength": told.strength, **told.training})
    write_json(fresh / "scores.json", told.evaluation.to_json())
    workflows = list(_workflows(fresh, told, kohya, title, notes)) if COMFYUI in web_uis else []
    return Files(kohya=kohya, diffusers=in_diffusers, web_uis=web_uis, images=images, workflows=workflows, notes=notes)


def _image(fresh: Path, number: int, prompt: str, file: Path) -> tuple[str, str]:
    """A copy of a picture without whatever its file says beside it."""
    name = f"images/{number:02}.png"
    data = io.BytesIO()
    read_rgb(file).save(data, "PNG")
    write_bytes(fresh / name, data.getvalue())
    return prompt, name


def _workflows(fresh: Path, told: Published, kohya: str, title: str, notes: list[str]) -> Iterator[str]:
    family = "stable_diffusion" if told.family in ("", "auto") else told.family
    if family not in FAMILIES:
        notes.append(f"no workflow for ComfyUI: a base of the family {family} is several files there")
        return
    how = Picture(
        checkpoint=f"{told.base_id.rpartition('/')[2] or told.base}.safetensors",
        lora=kohya,
        family=family,
        side=max(_SIDES, round(told.resolution / _SIDES) * _SIDES),
        steps=told.sample_steps,
        guidance=told.guidance,
        name=title,
    )
    prompts = [prompt for prompt, _ in told.pictures[:_GRID_PROMPTS]] or [told.trigger or "a picture"]
    strengths = sorted({*_STRENGTHS, told.strength})
    graphs = {"workflow": one_picture(how, prompts[0], told.strength), "grid": grid(how, prompts, strengths)}
    for name, graph in graphs.items():
        write_json(fresh / f"comfyui/{name}.json", graph.for_page())
        write_json(fresh / f"comfyui/{name}_api.json", graph.for_api())
        yield from (f"comfyui/{name}.json", f"comfyui/{name}_api.json")


def _refuse_secrets(folder: Path) -> None:
    """Raise where a text that would be published holds a secret of the environment.

    Raises:
        ConfigError: it does.
    """
    held = Held()
    for file in sorted(each for each in folder.rglob("*") if each.suffix in (".md", ".json")):
        if words := held.secret_in(file.read_text("utf-8")):
            raise ConfigError([f"{file.relative_to(folder)} would hold {words}; take it out of prompts and settings"])
