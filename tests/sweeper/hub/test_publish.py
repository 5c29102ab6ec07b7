"""`sweeper export STUDY hub=owner/name`: what it writes loads back; it is sent only when told, and tells no secret."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from huggingface_hub import ModelCard
from PIL import Image
from safetensors import safe_open

from eval.evaluation import Evaluation
from foundation.adapters.files import read_parts
from foundation.bases.port import Base
from foundation.files.documents import read_json
from foundation.files.durable import write_json, write_text
from sweeper.export import main
from tests.sweeper.hub.comfyui_nodes import as_prompt, mistakes
from tests.sweeper.test_export import save
from train.spec import AdapterSpec

TRIGGER = "in <i>pencil</i> style: 'a'"
TOKEN = "hf_1234567890abcdefghij"
CONFIG = {
    "base": {"name": "tiny", "family": "stable_diffusion", "resolution": 32, "sample_steps": 4, "guidance_scale": 3.0},
    "data": {
        "trigger": TRIGGER,
        "kind": "style",
        "path": None,
        "drawn": "pencil",
        "num_train": 24,
        "num_validation": 8,
    },
    "adapter": {"name": "lora", "rank": 2},
    "optimizer": {"name": "lion", "lr": 0.0001},
    "lr_scheduler": {"name": "constant"},
    "objective": {},
    "train": {"steps": 160, "batch_size": 4},
    "eval": {"final_prompts": ["a | cup, {trigger}", "a cat, {trigger}"]},
    "study": {"name": "pencil"},
}
EVALUATION = Evaluation(
    step=120,
    score=61.25,
    score_se=4.0,
    overfit_index=0.1,
    overfit=False,
    words="no sign of overfit; <b>drift</b>",
    severities={},
    metrics={"style": 0.6, "prompt_match": 30.0},
    validation_losses=(),
)


@pytest.fixture
def studies(tiny_pipeline: Path, new_base: Callable[[], Base], tmp_path: Path) -> Path:
    """A folder of studies, one of which ended with a LoRA that acts best at .8."""
    study = tmp_path / "studies" / "pencil"
    best, drawn = study / "best", study / "trials/0003/samples/final-step-000120-strength-0.8"
    best.mkdir(parents=True)
    drawn.mkdir(parents=True)
    save(new_base(), AdapterSpec(rank=2, alpha_ratio=3), best)
    config = CONFIG | {"base": {**CONFIG["base"], "path": str(tiny_pipeline)}}  # type: ignore[dict-item]
    write_text(best / "config.yaml", json.dumps(config))
    scores = {"strength": 0.8, "training": "3", "step": 120, "evaluation": EVALUATION.to_json()}
    write_json(best / "scores.json", scores)
    for number, colour in enumerate(("red", "blue")):
        Image.new("RGB", (32, 32), colour).save(drawn / f"prompt{number:02}-seed0.png")
    return tmp_path / "studies"


def publish(studies: Path, *more: str) -> int:
    return main(["pencil", f"folder={studies}", "hub=me/pencil", "license=cc-by-4.0", f"out={studies}/hub", *more])


def test_the_folder_loads_back_and_tells_numbers_and_no_data(
    studies: Path, tiny_pipeline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(studies, "author=A *B*") == 0
    out = studies / "hub"
    card = ModelCard.load(out / "README.md")
    data = card.data.to_dict()
    assert (data["license"], data["library_name"], data["instance_prompt"]) == ("cc-by-4.0", "diffusers", TRIGGER)
    assert "base_model" not in data and "lora" in data["tags"] and data["pipeline_tag"] == "text-to-image"
    assert [each["text"] for each in data["widget"]] == [f"a | cup, {TRIGGER}", f"a cat, {TRIGGER}"]
    for each, colour in zip(data["widget"], ((255, 0, 0), (0, 0, 255)), strict=True):
        with Image.open(out / each["output"]["url"]) as image:
            assert image.getpixel((0, 0)) == colour
    assert "61.2 ± 4" in card.text and "24 drawn pictures to train on, 8 held out" in card.text
    assert "A \\*B\\*" in card.text and "<b>" not in card.text and "strength 0.8" in card.text
    assert not [file for file in out.rglob("*.*") if str(tiny_pipeline) in file.read_bytes().decode(errors="ignore")]
    trained = read_parts(studies / "pencil/best")["unet"].state
    for name in ("pencil.safetensors", "pytorch_lora_weights.safetensors"):
        pipe = DiffusionPipeline.from_pretrained(tiny_pipeline)
        pipe.load_lora_weights(out, weight_name=name, adapter_name="mine")
        pipe.set_adapters("mine", 0.8)
        loaded = {key: value for key, value in pipe.unet.state_dict().items() if "lora_A" in key}
        assert len(loaded) == len([key for key in trained if "lora_A" in key])
        for key, value in loaded.items():
            assert torch.equal(value, trained[key.replace(".mine", "")])
    with safe_open(out / "pencil.safetensors", "pt") as file:
        header = file.metadata()
    civitai = json.loads(header["civitai"])
    assert civitai["trainedWords"] == [TRIGGER] and civitai["strength"] == 0.8 and civitai["type"] == "LORA"
    assert (header["modelspec.author"], header["modelspec.license"]) == ("A *B*", "cc-by-4.0")
    assert "nothing was sent" in capsys.readouterr().out


def test_the_workflows_load_the_file_at_the_strength_of_the_card(studies: Path) -> None:
    assert publish(studies) == 0
    folder = studies / "hub/comfyui"
    for name in ("workflow", "grid"):
        api = read_json(folder / f"{name}_api.json")
        assert mistakes(api) == [] and as_prompt(read_json(folder / f"{name}.json")) == api
    loaders = [each["inputs"] for each in read_json(folder / "workflow_api.json").values()]
    assert [each["strength_model"] for each in loaders if "lora_name" in each] == [0.8]
    assert [each["lora_name"] for each in loaders if "lora_name" in each] == ["pencil.safetensors"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["hub=pencil", "license=mit"], "hub must be owner/name"),
        (["hub=me/pencil"], "hub wants license="),
        (["hub=me/pencil", "license=My own!"], "hub wants license="),
        (["hub=me/pencil", "license=other"], "license=other wants license_name="),
        (["hub=me/pencil", "license=mit", "push=yes"], "push must be true or false"),
        (["hub=me/pencil", "license=mit", "kohya"], "leave kohya out"),
        (["hub=me/pencil", "license=mit", "strength=0.5"], "hub takes no strength="),
        (["license=mit"], "license= is for hub="),
        (["hub=me/pencil", "license=mit", "push=true"], "HF_TOKEN"),
    ],
)
def test_a_mistake_is_said_and_nothing_is_written(
    tmp_path: Path, keys: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert main(["pencil", f"folder={tmp_path}", f"out={tmp_path / 'hub'}", *keys]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_what_is_no_studys_best_is_not_published(studies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (studies / "pencil/best/scores.json").unlink()
    assert publish(studies) == 2
    assert "hub publishes a study's best" in capsys.readouterr().err and not (studies / "hub").exists()


def test_a_secret_of_the_environment_is_in_no_file_of_it(
    studies: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_API_KEY", "a cat, in ")  # as a prompt has it
    assert publish(studies) == 2
    error = capsys.readouterr().err
    assert "would hold the secret of MY_API_KEY" in error and not (studies / "hub").exists()


class Hub(ThreadingHTTPServer):
    """Takes commits as the Hub does, and keeps what came."""

    def __init__(self, refuses: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.refuses, self.files, self.made = refuses, dict[str, bytes](), list[dict[str, object]]()
        self.tokens = set[str]()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self._say({"id": "me/pencil", "sha": "0" * 40, "siblings": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.tokens.add(self.headers.get("Authorization", ""))
        if self.server.refuses:
            self._say({"error": f"no: {self.headers['Authorization']}"}, 403)
        elif self.path == "/api/repos/create":
            self.server.made.append(json.loads(body))
            self._say({"url": f"{self.server.address}/me/pencil"})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            self._say({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]})
        elif "/commit/" in self.path:
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.server.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self._say({"commitUrl": f"{self.server.address}/me/pencil/commit/1", "commitOid": "1", "success": True})
        else:
            self._say({})

    def _say(self, value: object, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_sent_whole_when_told_and_the_token_is_told_to_the_hub_alone(
    studies: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(studies) == 0 and not hub.tokens  # not told to
    shutil.rmtree(studies / "hub")
    assert publish(studies, "push=true") == 0
    out = studies / "hub"
    written = {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert hub.files == written
    assert [(each["name"], each["visibility"]) for each in hub.made] == [("pencil", "private")]
    said = capsys.readouterr()
    assert hub.tokens == {f"Bearer {TOKEN}"} and TOKEN not in said.out + said.err
    assert f"pushed as a private model: {hub.address}/me/pencil/commit/1" in said.out
    assert not [name for name, data in written.items() if TOKEN.encode() in data]


def test_where_the_hub_says_no_the_files_are_left_and_no_token_is_said(
    studies: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuses = True
    assert publish(studies, "push=true", "private=false") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the Hub did not take me/pencil: ") and len(error.splitlines()) == 1
    assert TOKEN not in error and (studies / "hub/README.md").is_file()
