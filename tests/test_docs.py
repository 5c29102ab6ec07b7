"""What the documents point at is there, files, sections, footnotes; their commands can be typed, and help is whole."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

import eval.request
import foundation.adapters.merge.recipe
import foundation.adapters.merge.request
import foundation.data.doctor.request
import foundation.data.prepare.request
import sweeper.batch.command
import sweeper.choose
import sweeper.clean
import sweeper.cluster.command
import sweeper.dashboard
import sweeper.export_request
import sweeper.import_request
import sweeper.report
import sweeper.track
import sweeper.votes
import train.command
from foundation.json_output import FLAG
from sweeper.cli import COMMANDS
from sweeper.notify import set_urls, take_urls
from sweeper.search.space import plan

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(text: str) -> set[str]:
    """The names by which links call a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            file, _, section = target.partition("#")
            page = path.parent / file if file else path
            assert page.exists(), target
            assert not section or section in anchors(page.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_footnote_is_called_and_there_once(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    there = re.findall(r"^\[\^(\w+)\]: \S", text, re.MULTILINE)
    assert len(there) == len(set(there))
    assert set(re.findall(r"\[\^(\w+)\](?!: )", text)) == set(there)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_rows_of_a_table_are_as_long_as_its_head(path: Path) -> None:
    head = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        cells = len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", lambda code: code[0].replace("\\|", ""), line)))
        head = 0 if not line.startswith("|") else head or cells
        assert head in (0, cells), f"line {number}"


def commands() -> list[list[str]]:
    """What the shell blocks of the documents have people type, as words."""
    found = []
    for path in DOCS:
        if path.name != "log.md":  # a log says what was typed then
            for block in re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
                lines = block.replace("\\\n", " ").splitlines()
                found += [
                    shlex.split(line, comments=True)
                    for line in lines
                    if ".venv/bin/" in line and not line.startswith("eval ")
                ]
    return found


def read_prepare(arguments: list[str]) -> object:
    if arguments[:1] == ["doctor"]:
        return foundation.data.doctor.request.read_request(arguments[1:])
    return foundation.data.prepare.request.read_request(arguments)


PARSED: dict[str, Callable[[list[str]], object]] = {
    "export": sweeper.export_request.parse,
    "import": sweeper.import_request.parse,
    "dashboard": sweeper.dashboard.parse,
    "batch": sweeper.batch.command.parse,
    "choose": sweeper.choose.parse,
    "votes": sweeper.votes.parse,
    "cluster": sweeper.cluster.command.text_for,
    "clean": sweeper.clean._parse,
    "report": sweeper.report.parse,
    "track": sweeper.track.parse,
    "train": train.command.parse_command,
    "merge": foundation.adapters.merge.request.parse_merge,
    "prepare": read_prepare,
    "eval": eval.request.parse_request,
}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_can_be_typed_as_it_is_printed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment that `make` sets up, and with keys and values that the command takes."""
    program, *arguments = (word for word in words if word != FLAG)  # which every command takes
    if program == ".venv/bin/python":
        assert arguments[0] == "-m" and importlib.util.find_spec(arguments[1]) is not None
        return
    assert program == ".venv/bin/sweeper"
    parse = PARSED[arguments.pop(0)] if arguments[0] in COMMANDS else plan
    if not arguments or arguments[0] not in ("--help", "-sc"):
        with monkeypatch.context() as patch:
            patch.setattr("sweeper.notify._service", lambda _: None)  # apprise is an extra
            parse(take_urls(arguments))
        set_urls([])


def test_there_are_commands_of_each_kind() -> None:
    assert PARSED.keys() == COMMANDS.keys()
    assert {words[1] for words in commands()} >= PARSED.keys() - {"prepare", "dashboard", "cluster"}


@pytest.mark.parametrize(
    ("usage", "kind", "elsewhere"),
    [
        (eval.request.USAGE, eval.request.EvalRequest, {"trained_on", "own_size"}),
        (foundation.data.prepare.request.USAGE, foundation.data.prepare.request.PrepareRequest, set()),
        (foundation.data.doctor.request.USAGE, foundation.data.doctor.request.DoctorRequest, set()),
        (foundation.adapters.merge.request.USAGE, foundation.adapters.merge.request.MergeRequest, {"verb", "recipe"}),
        (foundation.adapters.merge.request.USAGE, foundation.adapters.merge.recipe.Recipe, set()),
    ],
)
def test_help_names_every_key_and_gives_an_example(usage: str, kind: type, elsewhere: set[str]) -> None:
    names = {field.name for field in dataclasses.fields(kind)} - elsewhere
    assert [name for name in sorted(names) if f"{name}=" not in usage] == []
    assert len(re.findall(r"^  sweeper ", usage, re.MULTILINE)) >= 2


def test_train_lists_every_group_that_it_reads_with_its_default_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.command.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^  data +pencil, folder, ", said, re.MULTILINE)
    assert re.search(r"^  optimizer +adamw8bit, .*\blion\b", said, re.MULTILINE)


PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name != "log.md")  # each part tells of its day


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_ours_that_a_page_names_are_there(page: Path) -> None:
    packages = "foundation|train|eval|sweeper|benchmarks|tests|conf"
    named = re.findall(rf"`((?:{packages})/[\w./-]+\.(?:py|yaml))`", page.read_text(encoding="utf-8"))
    assert not [name for name in named if not (ROOT / name).exists()]
