"""What ComfyUI's core nodes take and give, as its own code has it, read at the commits below.

nodes.py at e60e19b175f93f2c8fac037063de9f13259be9d4 (CheckpointLoaderSimple, LoraLoader, KSampler, SaveImage) and at
01094316268cab9ed5cd53b825b359a7becb9d6c (CLIPTextEncode, EmptyLatentImage, VAEDecode); comfy_extras/nodes_images.py at
0413db9da96134a570d506b540231253672ec369 (ImageStitch), comfy_extras/nodes_flux.py at
145de46334674056f0e1d5c358e392a262a1c65e (FluxGuidance), comfy_extras/nodes_sd3.py (EmptySD3LatentImage).
Names of files are lists of what lies on a machine there, so any text stands for them here.
"""

from __future__ import annotations

from typing import Any

MAX_RESOLUTION = 16384
SIZES = {"width": ("INT", 16, MAX_RESOLUTION, 8), "height": ("INT", 16, MAX_RESOLUTION, 8)}
SIZES_OF_FLOW = {"width": ("INT", 16, MAX_RESOLUTION, 16), "height": ("INT", 16, MAX_RESOLUTION, 16)}
BATCH = {"batch_size": ("INT", 1, 4096, 1)}
SAMPLERS = ("euler", "euler_ancestral", "heun", "dpm_2", "lms", "dpmpp_2m", "dpmpp_2m_sde", "ddim", "uni_pc")
SCHEDULERS = ("normal", "karras", "exponential", "sgm_uniform", "simple", "ddim_uniform")

REQUIRED: dict[str, dict[str, Any]] = {
    "CheckpointLoaderSimple": {"ckpt_name": "FILE"},
    "LoraLoader": {
        "model": "MODEL",
        "clip": "CLIP",
        "lora_name": "FILE",
        "strength_model": ("FLOAT", -100.0, 100.0, 0.01),
        "strength_clip": ("FLOAT", -100.0, 100.0, 0.01),
    },
    "CLIPTextEncode": {"text": "STRING", "clip": "CLIP"},
    "FluxGuidance": {"conditioning": "CONDITIONING", "guidance": ("FLOAT", 0.0, 100.0, 0.1)},
    "EmptyLatentImage": {**SIZES, **BATCH},
    "EmptySD3LatentImage": {**SIZES_OF_FLOW, **BATCH},
    "KSampler": {
        "model": "MODEL",
        "seed": ("INT", 0, 0xFFFFFFFFFFFFFFFF, 1),
        "steps": ("INT", 1, 10000, 1),
        "cfg": ("FLOAT", 0.0, 100.0, 0.1),
        "sampler_name": SAMPLERS,
        "scheduler": SCHEDULERS,
        "positive": "CONDITIONING",
        "negative": "CONDITIONING",
        "latent_image": "LATENT",
        "denoise": ("FLOAT", 0.0, 1.0, 0.01),
    },
    "VAEDecode": {"samples": "LATENT", "vae": "VAE"},
    "ImageStitch": {
        "image1": "IMAGE",
        "direction": ("right", "down", "left", "up"),
        "match_image_size": "BOOLEAN",
        "spacing_width": ("INT", 0, 1024, 2),
        "spacing_color": ("white", "black", "red", "green", "blue"),
    },
    "SaveImage": {"images": "IMAGE", "filename_prefix": "STRING"},
}
OPTIONAL: dict[str, dict[str, Any]] = {"ImageStitch": {"image2": "IMAGE"}}
RETURNS: dict[str, tuple[str, ...]] = {
    "CheckpointLoaderSimple": ("MODEL", "CLIP", "VAE"),
    "LoraLoader": ("MODEL", "CLIP"),
    "CLIPTextEncode": ("CONDITIONING",),
    "FluxGuidance": ("CONDITIONING",),
    "EmptyLatentImage": ("LATENT",),
    "EmptySD3LatentImage": ("LATENT",),
    "KSampler": ("LATENT",),
    "VAEDecode": ("IMAGE",),
    "ImageStitch": ("IMAGE",),
    "SaveImage": (),
}
LINKED = ("MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "IMAGE")


def inputs_of(kind: str) -> dict[str, Any]:
    """All inputs, the required ones first, as the page lists them."""
    return REQUIRED[kind] | OPTIONAL.get(kind, {})


def mistakes(prompt: dict[str, Any]) -> list[str]:
    """What ComfyUI's `validate_prompt` would say of a workflow for its API, by execution.py's rules."""
    said = []
    for number, node in prompt.items():
        kind, given = node["class_type"], node["inputs"]
        if kind not in REQUIRED:
            said.append(f"{number}: no node {kind}")
            continue
        said += [f"{number} {kind}: lacks {name}" for name in REQUIRED[kind] if name not in given]
        for name, value in given.items():
            takes = inputs_of(kind).get(name)
            if takes in LINKED:
                source, slot = value
                if source not in prompt or RETURNS[prompt[source]["class_type"]][slot] != takes:
                    said.append(f"{number} {kind}: {name} takes {takes}")
            elif not _fits(takes, value):
                said.append(f"{number} {kind}: {name} is {value!r}")
    if not any(node["class_type"] == "SaveImage" for node in prompt.values()):
        said.append("it has no outputs")
    return said


def _fits(takes: Any, value: Any) -> bool:
    if takes in ("FILE", "STRING"):
        return isinstance(value, str)
    if takes == "BOOLEAN":
        return isinstance(value, bool)
    if takes and takes[0] in ("INT", "FLOAT"):
        kind, low, high, step = takes
        whole = isinstance(value, int) or kind == "FLOAT"
        return whole and low <= value <= high and abs(value / step - round(value / step)) < 1e-6
    return value in (takes or ())


def as_prompt(page: dict[str, Any]) -> dict[str, Any]:
    """What the page sends to the API for a workflow that it opened; a seed has a second widget, which is not sent."""
    links = {link[0]: link for link in page["links"]}
    prompt: dict[str, Any] = {}
    for node in page["nodes"]:
        values, inputs = iter(node["widgets_values"]), dict[str, Any]()
        for name, takes in inputs_of(node["type"]).items():
            if takes not in LINKED:
                inputs[name] = next(values)
                if name == "seed":
                    assert next(values) in ("fixed", "increment", "decrement", "randomize")
        for slot, given in enumerate(node["inputs"]):
            if given["link"] is not None:
                _, source, source_slot, target, target_slot, kind = links[given["link"]]
                assert (target, target_slot, kind) == (node["id"], slot, given["type"])
                outputs = next(each for each in page["nodes"] if each["id"] == source)["outputs"]
                assert given["link"] in outputs[source_slot]["links"] and outputs[source_slot]["type"] == kind
                inputs[given["name"]] = [str(source), source_slot]
        assert next(values, None) is None
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": {"title": node["title"]}}
    return prompt
