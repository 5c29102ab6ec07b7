"""Which program reads which file of which kind of adapter, and why not: the one table of it.

`sweeper export` says it where a file is written, the card of a study's best says it, and docs/exports.md has
it as `as_markdown` gives it.

Sources: AUTOMATIC1111/stable-diffusion-webui extensions-builtin/Lora/network*.py; Forge backend/patcher/lora.py and
packages_3rdparty/comfyui_lora_collection/lora.py; ComfyUI comfy/lora.py and comfy/weight_adapter/*.py;
kohya-ss/sd-scripts networks/lora*.py; diffusers 0.42 loaders/lora_conversion_utils.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from foundation.adapters.exports.adapter import SavedAdapter
from foundation.adapters.exports.layer_names import built_in_names
from foundation.bases.families import LayerNames

Format = Literal["diffusers", "kohya", "full"]
KindName = Literal["lora", "dora", "lora_bias", "loha", "lokr", "ia3", "oft"]
A1111, FORGE, COMFYUI, TRAINER, DIFFUSERS = "A1111", "Forge", "ComfyUI", "kohya's trainer", "diffusers"
PROGRAMS: Final = (A1111, FORGE, COMFYUI, TRAINER, DIFFUSERS)
WEB_UIS: Final = (A1111, FORGE)

TITLES: Final[Mapping[KindName, str]] = {
    "lora": "lora, locon, rslora, pissa, olora, adalora",
    "dora": "dora",
    "lora_bias": "`lora_bias=true`",
    "loha": "loha",
    "lokr": "lokr",
    "ia3": "ia3",
    "oft": "oft",
}
"""What `adapter=` makes of each kind."""

UNWRITTEN: Final[Mapping[tuple[Format, KindName], str]] = {
    **{("diffusers", kind): "diffusers loads LoRA only" for kind in ("loha", "lokr", "ia3", "oft")},
    ("kohya", "oft"): "kohya's format has no words for it",
}
"""Files that there cannot be."""

_LORA_ONLY: Final = "loads LoRA only"
_UNTRIED: Final = "knows it for some families; was not checked"
_OTHER_NAMES: Final = "knows few of its names, and none of the alphas in its header"
_UNREAD: Final[Mapping[tuple[Format, KindName], Mapping[str, str]]] = {
    ("kohya", "dora"): {
        A1111: "takes the magnitudes of outputs for those of inputs",
        TRAINER: "leaves the magnitudes out",
        DIFFUSERS: "leaves the magnitudes out",
    },
    ("kohya", "lora_bias"): {
        A1111: "leaves the biases out",
        TRAINER: "leaves the biases out",
        DIFFUSERS: "refuses the biases",
    },
    ("kohya", "loha"): {TRAINER: _UNTRIED, DIFFUSERS: _LORA_ONLY},
    ("kohya", "lokr"): {TRAINER: _UNTRIED, DIFFUSERS: _LORA_ONLY},
    ("kohya", "ia3"): {
        A1111: "takes the factors of outputs for those of inputs",
        TRAINER: "leaves the factors out",
        DIFFUSERS: "leaves the factors out",
    },
}
"""Who does not read a file that there is, and why."""
_UNREAD_OF_ALL_KINDS: Final[Mapping[Format, Mapping[str, str]]] = {
    "diffusers": {program: _OTHER_NAMES for program in PROGRAMS if program != DIFFUSERS},
    "kohya": {},
    "full": {TRAINER: _LORA_ONLY, DIFFUSERS: _LORA_ONLY},
}


@dataclass(frozen=True, slots=True)
class Readers:
    """Who reads one file, and who does not."""

    read: tuple[str, ...]
    unread: Mapping[str, str]
    """Why not, by program."""
    read_full: tuple[str, ...] = ()
    """Which of these read the file of whole differences."""

    def __str__(self) -> str:
        """As it is said where the file is written."""
        return "; ".join(words for words in (f"for {', '.join(self.read) or 'no program'}", self.unread_words) if words)

    @property
    def unread_words(self) -> str:
        """Who does not read it and why, those of one reason together; empty where all do."""
        by_reason: dict[str, list[str]] = {}
        for program, why in self.unread.items():
            by_reason.setdefault(why, []).append(program)
        reasons = ", ".join(f"{', '.join(programs)} ({why})" for why, programs in by_reason.items())
        full = f"; format full is for {', '.join(self.read_full)}" if self.read_full else ""
        return f"not for {reasons}{full}" if reasons else ""


def kind_name(adapter: SavedAdapter) -> KindName:
    """Which row of the table an adapter is in; of several the first that is no plain LoRA."""
    if adapter.has_bias:
        return "lora_bias"
    if adapter.has_dora:
        return "dora"
    names: dict[str, KindName] = {"LOHA": "loha", "LOKR": "lokr", "IA3": "ia3", "OFT": "oft"}
    return next((names[kind] for kind in sorted(adapter.kinds) if kind in names), "lora")


def readers(file: Format, kind: KindName, names: LayerNames) -> Readers:
    """Who reads a file of a kind of adapter of a model family."""
    unread = {**_UNREAD_OF_ALL_KINDS[file], **_UNREAD.get((file, kind), {})}
    if file != "diffusers":
        unread |= names.unread
    if file == "kohya" and kind != "lora":
        unread |= names.unread_unfused
    known = [program for program in PROGRAMS if program not in unread]
    titles = {TRAINER: names.trainer}
    return Readers(
        tuple(titles.get(program, program) for program in known),
        {titles.get(program, program): unread[program] for program in PROGRAMS if program in unread},
        tuple(each for each in readers("full", kind, names).read if each in unread) if file == "kohya" else (),
    )


def as_markdown() -> str:
    """The table as docs/exports.md has it: kinds, reasons, families."""
    heads = {name: [(name, *PROGRAMS), ("---",) * (len(PROGRAMS) + 1)] for name in ("kind", "family")}
    kinds = [(title, *_files_for(kind)) for kind, title in TITLES.items()]
    families = [
        (names.title, *(_reads(program, readers("kohya", "lora", names), names) for program in PROGRAMS))
        for names in built_in_names().values()
    ]
    return "\n\n".join(
        [
            _table([*heads["kind"], *kinds]),
            "\n".join(_reasons()),
            "Of which families the kohya file of a plain LoRA is read:",
            _table([*heads["family"], *families]),
        ]
    )


def _files_for(kind: KindName) -> list[str]:
    """Which files of a kind each program reads."""
    formats: tuple[Format, ...] = ("diffusers", "kohya", "full")
    read = {
        file: readers(file, kind, built_in_names()["sd1"]).read for file in formats if (file, kind) not in UNWRITTEN
    }
    return [" or ".join(file for file, programs in read.items() if program in programs) or "–" for program in PROGRAMS]


def _reasons() -> list[str]:
    whole = {f"Every {file} file": Readers((), why).unread_words for file, why in _UNREAD_OF_ALL_KINDS.items() if why}
    single = {
        f"The {file} file of {TITLES[kind]}": readers(file, kind, built_in_names()["sd1"]).unread_words
        for file, kind in _UNREAD
    }
    lines = [f"- {what} is {words}." for what, words in {**whole, **single}.items()]
    return lines + [f"- There is no {file} file of {TITLES[kind]}: {why}." for (file, kind), why in UNWRITTEN.items()]


def _reads(program: str, own: Readers, names: LayerNames) -> str:
    title = names.trainer if program == TRAINER else program
    if title in own.unread:
        return f"no: {own.unread[title]}"
    return "yes" if title == program else f"yes: {title}"


def _table(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
