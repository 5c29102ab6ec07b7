"""Graphs of ComfyUI's core nodes, in the two forms that it reads: for its API, and for its page.

Sources: comfyanonymous/ComfyUI nodes.py at e60e19b and 0109431, comfy_extras/nodes_images.py at 0413db9 and
nodes_flux.py at 145de46, for what nodes take and give; the page's form is version 0.4 of LiteGraph's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_WIDGETS: Final = ("INT", "FLOAT", "STRING", "COMBO", "BOOLEAN")
"""Kinds of inputs that are typed at the node itself; all others come through a link."""
_SEED: Final = "seed"
"""Has a second widget beside it on the page, which says what becomes of it after a picture."""
_WIDTH, _COLUMN, _ROW = 300, 350, 60


@dataclass(frozen=True, slots=True)
class NodeKind:
    """What a node takes, in its order, and gives, by ComfyUI's names of kinds."""

    inputs: Mapping[str, str]
    outputs: tuple[str, ...]


NODES: Final[Mapping[str, NodeKind]] = {
    "CheckpointLoaderSimple": NodeKind({"ckpt_name": "COMBO"}, ("MODEL", "CLIP", "VAE")),
    "LoraLoader": NodeKind(
        {"model": "MODEL", "clip": "CLIP", "lora_name": "COMBO", "strength_model": "FLOAT", "strength_clip": "FLOAT"},
        ("MODEL", "CLIP"),
    ),
    "CLIPTextEncode": NodeKind({"text": "STRING", "clip": "CLIP"}, ("CONDITIONING",)),
    "FluxGuidance": NodeKind({"conditioning": "CONDITIONING", "guidance": "FLOAT"}, ("CONDITIONING",)),
    "EmptyLatentImage": NodeKind({"width": "INT", "height": "INT", "batch_size": "INT"}, ("LATENT",)),
    "EmptySD3LatentImage": NodeKind({"width": "INT", "height": "INT", "batch_size": "INT"}, ("LATENT",)),
    "KSampler": NodeKind(
        {
            "model": "MODEL",
            "seed": "INT",
            "steps": "INT",
            "cfg": "FLOAT",
            "sampler_name": "COMBO",
            "scheduler": "COMBO",
            "positive": "CONDITIONING",
            "negative": "CONDITIONING",
            "latent_image": "LATENT",
            "denoise": "FLOAT",
        },
        ("LATENT",),
    ),
    "VAEDecode": NodeKind({"samples": "LATENT", "vae": "VAE"}, ("IMAGE",)),
    "ImageStitch": NodeKind(
        {
            "image1": "IMAGE",
            "direction": "COMBO",
            "match_image_size": "BOOLEAN",
            "spacing_width": "INT",
            "spacing_color": "COMBO",
            "image2": "IMAGE",
        },
        ("IMAGE",),
    ),
    "SaveImage": NodeKind({"images": "IMAGE", "filename_prefix": "STRING"}, ()),
}


@dataclass(frozen=True, slots=True)
class Link:
    """An output of a node."""

    node: int
    slot: int


@dataclass(slots=True)
class Graph:
    """Nodes, by number from 1 on, in an order in which each comes after what it takes."""

    nodes: dict[int, tuple[str, dict[str, Any], str, tuple[int, int]]] = field(default_factory=dict)
    """Kind, inputs, title, and where it stands: column and row."""

    def add(self, kind: str, title: str = "", at: tuple[int, int] = (0, 0), **inputs: Any) -> tuple[Link, ...]:
        """Add a node; its outputs. `at` is the column and row where it stands on the page."""
        assert inputs.keys() <= NODES[kind].inputs.keys(), kind
        number = len(self.nodes) + 1
        self.nodes[number] = (kind, inputs, title or kind, at)
        return tuple(Link(number, slot) for slot in range(len(NODES[kind].outputs)))

    def for_api(self) -> dict[str, Any]:
        """The form that ComfyUI's `/prompt` takes."""
        return {
            str(number): {
                "class_type": kind,
                "inputs": {
                    name: [str(value.node), value.slot] if isinstance(value, Link) else value
                    for name, value in inputs.items()
                },
                "_meta": {"title": title},
            }
            for number, (kind, inputs, title, _) in self.nodes.items()
        }

    def for_page(self) -> dict[str, Any]:
        """The form that ComfyUI's page opens and saves."""
        links: list[list[Any]] = []
        nodes = {number: self._on_page(number) for number in self.nodes}
        for number, (kind, inputs, _, _) in self.nodes.items():
            linked = [name for name, takes in NODES[kind].inputs.items() if takes not in _WIDGETS]
            for slot, name in enumerate(linked):
                value = inputs.get(name)
                if isinstance(value, Link):
                    links.append([len(links) + 1, value.node, value.slot, number, slot, NODES[kind].inputs[name]])
                    nodes[number]["inputs"][slot]["link"] = len(links)
                    nodes[value.node]["outputs"][value.slot]["links"].append(len(links))
        return {
            "last_node_id": len(nodes),
            "last_link_id": len(links),
            "nodes": list(nodes.values()),
            "links": links,
            "groups": [],
            "config": {},
            "extra": {},
            "version": 0.4,
        }

    def _on_page(self, number: int) -> dict[str, Any]:
        kind, inputs, title, (column, row) = self.nodes[number]
        takes, gives = NODES[kind].inputs, NODES[kind].outputs
        values: list[Any] = []
        for name, takes_kind in takes.items():
            if takes_kind in _WIDGETS:
                values += [inputs[name], *(["fixed"] if name == _SEED else [])]
        linked = [{"name": name, "type": each, "link": None} for name, each in takes.items() if each not in _WIDGETS]
        return {
            "id": number,
            "type": kind,
            "title": title,
            "pos": [_COLUMN * column, _ROW * row],
            "size": [_WIDTH, 60 + 24 * len(takes)],
            "flags": {},
            "order": number - 1,
            "mode": 0,
            "inputs": linked,
            "outputs": [{"name": each, "type": each, "links": [], "slot_index": n} for n, each in enumerate(gives)],
            "properties": {"Node name for S&R": kind},
            "widgets_values": values,
        }
