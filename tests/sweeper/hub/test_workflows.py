"""Workflows for ComfyUI are what its own code takes, and say the same in both of their forms."""

from __future__ import annotations

import json

import pytest

from sweeper.hub.graph import NODES
from sweeper.hub.workflows import FAMILIES, Picture, grid, one_picture
from tests.sweeper.hub.comfyui_nodes import RETURNS, as_prompt, inputs_of, mistakes


def picture(family: str) -> Picture:
    return Picture(
        checkpoint="base.safetensors",
        lora="mine.safetensors",
        family=family,
        side=512,
        steps=25,
        guidance=4.5,
        name="a",
    )


def test_nodes_are_as_comfyui_has_them() -> None:
    for kind, own in NODES.items():
        assert own.outputs == RETURNS[kind]
        assert list(own.inputs) == list(inputs_of(kind)), kind


@pytest.mark.parametrize("family", FAMILIES)
def test_comfyui_finds_no_mistake_in_either_form(family: str) -> None:
    prompts, strengths = ["a cup", 'a "red" star\n{x}', "a cat"], [0.4, 0.8, 1.0, 1.25]
    for graph in (one_picture(picture(family), prompts[1], 0.8), grid(picture(family), prompts, strengths)):
        api = json.loads(json.dumps(graph.for_api()))
        assert mistakes(api) == []
        assert as_prompt(json.loads(json.dumps(graph.for_page()))) == api


def test_a_workflow_that_is_wrong_is_told() -> None:
    api = one_picture(picture("sdxl"), "a cup", 1.0).for_api()
    loader = next(node for node in api.values() if node["class_type"] == "LoraLoader")
    loader["inputs"] |= {"strength_model": 200.0, "clip": ["1", 0]}
    del loader["inputs"]["lora_name"]
    assert len(mistakes(api)) == 3


def test_the_lora_acts_at_the_strength_and_the_grid_has_every_place() -> None:
    def strengths(api: dict[str, dict[str, dict[str, object]]]) -> list[object]:
        loaders = [node["inputs"] for node in api.values() if node["class_type"] == "LoraLoader"]
        assert all(each["strength_model"] == each["strength_clip"] for each in loaders)
        assert {each["lora_name"] for each in loaders} == {"mine.safetensors"}
        return [each["strength_model"] for each in loaders]

    one = one_picture(picture("stable_diffusion"), "a cup", 0.8).for_api()
    assert strengths(one) == [0.8] and [n["inputs"]["text"] for n in one.values() if "text" in n["inputs"]] == [
        "a cup",
        "",
    ]
    api = grid(picture("flux"), ["a cup", "a cat"], [0.4, 1.0, 1.2]).for_api()
    assert strengths(api) == [0.4, 1.0, 1.2]
    kinds = [node["class_type"] for node in api.values()]
    assert (kinds.count("KSampler"), kinds.count("ImageStitch"), kinds.count("SaveImage")) == (6, 2 * 2 + 1, 1)
    drawn = {  # prompt and strength of each picture, by following what each sampler takes
        (_text(api, node["inputs"]["positive"]), api[node["inputs"]["model"][0]]["inputs"]["strength_model"])
        for node in api.values()
        if node["class_type"] == "KSampler"
    }
    assert drawn == {(prompt, strength) for prompt in ("a cup", "a cat") for strength in (0.4, 1.0, 1.2)}
    guidance = {(n["inputs"]["cfg"]) for n in api.values() if n["class_type"] == "KSampler"}
    assert guidance == {1.0} and {n["inputs"]["guidance"] for n in api.values() if "guidance" in n["inputs"]} == {4.5}


def _text(api: dict[str, dict[str, dict[str, object]]], link: object) -> object:
    assert isinstance(link, list)
    inputs = api[link[0]]["inputs"]
    return inputs["text"] if "text" in inputs else _text(api, inputs["conditioning"])
