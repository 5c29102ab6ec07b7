"""An adapter put on a pipeline, acting, and taken off again: by PEFT, with every tensor compared after it."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from foundation.adapters.files.changes import CHANGE_KINDS
from foundation.adapters.files.fitting import Fitted, begins_anywhere, fit_part
from foundation.adapters.files.part import AdapterPart, kind_of
from foundation.adapters.files.reading import PEFT_KINDS, read_parts
from foundation.errors import AdapterError, first_line

_DROPOUTS: Final = ("lora_dropout", "rank_dropout", "module_dropout")
_INITS: Final = {"LOHA": "init_weights", "LOKR": "init_weights", "IA3": "init_ia3_weights", "OFT": "init_weights"}
_T5: Final = "encoder.block."
_TITLES: Final = {"LORA": "LoRA", "LOHA": "LoHa", "LOKR": "LoKr"}
"""What people call PEFT's kinds."""
_HARMLESS: Final = re.compile(
    r".*(was active which is now deleted|Invalid `oft_block_size`|Already found a `peft_config`|fan_in_fan_out"
    r"|keys did not match any targeted module|tied weights|tie_word_embeddings|`lora_bias=True` was passed"
    r"|tensor\(s\) have invalid shape)",
    re.DOTALL,
)
"""What PEFT warns of while layers are put in, and has nothing to do with what is in them."""


def put_on(pipeline: Any, path: Path, name: str, strength: float = 1.0) -> str:
    """Put an adapter's file or folder on a pipeline's components, under `name`, at a strength; what it is, in words.

    Strength multiplies the update: W + strength · alpha / rank · B·A, and so of LoHa, LoKr and of what a file adds to
    weights otherwise. Of DoRA it multiplies the product before the norm is taken, as PEFT and diffusers have it. Of IA³
    a factor l becomes 1 + strength · (l - 1); of PEFT's OFT the rotations' generators are multiplied. 1 is always as
    it was trained, 0 the base but for DoRA.

    Raises:
        AdapterError: it cannot be read, or does not fit; then the pipeline is as it was.
    """
    parts = read_parts(path)
    put_parts_on(pipeline, parts, name, strength, str(path))
    return in_words(parts)


def in_words(parts: Mapping[str, AdapterPart]) -> str:
    """How many layers of which kind an adapter has."""
    said = []
    for component, part in parts.items():
        kinds = Counter[str](CHANGE_KINDS[change.kind].title for change in part.changes.values())
        layers = {_layer_of(name) for name in part.state}
        decomposed = {_layer_of(name) for name in part.state if "lora_magnitude_vector" in name}
        kinds |= {"DoRA": len(decomposed), _TITLES.get(kind_of(part), kind_of(part)): len(layers - decomposed)}
        counts = (f"{count} {kind} layer{'s' * (count > 1)}" for kind, count in kinds.items() if count)
        said.append(f"{component}: {', '.join(counts)}")
    return "; ".join(said)


def _layer_of(name: str) -> str:
    return re.split(r"\.(?:lora_|hada_|lokr_|ia3_l|oft_R)", name)[0]


def put_parts_on(pipeline: Any, parts: Mapping[str, AdapterPart], name: str, strength: float, who: str) -> None:
    """As `put_on`, of an adapter that is in memory; `who` begins what is said when it does not fit."""
    placed = _place_parts(pipeline, parts, who)
    modules = [getattr(pipeline, component) for component in placed]
    bare = [module for module in modules if not hasattr(module, "peft_config")]
    try:
        for (component, (part, fitted)), module in zip(placed.items(), modules, strict=True):
            _put(module, part, fitted, name, strength, f"{who} does not fit the base's {component}")
    except AdapterError:
        for module in bare:
            _make_plain(module)
        raise


def _place_parts(pipeline: Any, parts: Mapping[str, AdapterPart], who: str) -> dict[str, tuple[AdapterPart, Fitted]]:
    """Every part with its place in the pipeline; all that has none is said at once."""
    placed, problems = {}, []
    for component, part in parts.items():
        own = _component(pipeline, component, part)
        if own is None:
            problems.append(f"is for a pipeline with a {component} (layers: {_num_layers(part)}); this base has none")
            continue
        if init := begins_anywhere(part):
            raise AdapterError(
                f"{who} began with parts of its base's weights (init {init}) that cannot be known; save it with PEFT's "
                "path_initial_model_for_weight_conversion"
            )
        fitted = fit_part(getattr(pipeline, own), part)
        if not fitted.state:
            problems.append(f"has no layers for the base's {own}")
        if fitted.problems:
            count = len(fitted.problems)
            problems.append(
                f"does not fit the base's {own}: {count} of {_num_layers(part)} layers are not in it or have another "
                f"size there; {fitted.problems[0]}"
            )
        placed[own] = (part, fitted)
    if problems:
        hint = looks_like(parts)
        origin = f"it looks like one for {hint}" if hint else "it was trained on another base"
        raise AdapterError(f"{who} {'; it '.join(problems)}; {origin}, name that as base=")
    return placed


def _component(pipeline: Any, component: str, part: AdapterPart) -> str | None:
    """The pipeline's component; FLUX's second text encoder is a T5, which other programs count as the third."""
    if isinstance(getattr(pipeline, component, None), nn.Module):
        return component
    t5 = all(layer.startswith(_T5) for layer in [*part.state, *part.changes])
    second = getattr(pipeline, "text_encoder_2", None)
    if component == "text_encoder_3" and t5 and isinstance(second, nn.Module):
        return "text_encoder_2"
    return None


def _num_layers(part: AdapterPart) -> int:
    return len({_layer_of(name) for name in part.state} | part.changes.keys())


def looks_like(parts: Mapping[str, AdapterPart]) -> str:
    """Which published models have such layers; empty where the layers do not tell."""
    if "transformer" in parts:
        layers = [*parts["transformer"].state, *parts["transformer"].changes]
        if any(layer.startswith("single_transformer_blocks.") for layer in layers):
            return "FLUX"
        if any(re.match(r"transformer_blocks\.\d+\.(img|txt)_(mlp|mod)\.", layer) for layer in layers):
            return "Qwen-Image"
        return ""
    unet = parts["unet"].state if "unet" in parts else {}
    widths = {tensor.shape[1] for name, tensor in unet.items() if name.endswith("attn2.to_k.lora_A.weight")}
    if "text_encoder_2" in parts or any(".transformer_blocks.1." in name for name in unet):
        return "SDXL"
    return next((title for width, title in _TEXT_WIDTHS.items() if width in widths), "")


_TEXT_WIDTHS: Final = {2048: "SDXL", 1024: "Stable Diffusion 2", 768: "Stable Diffusion 1"}
"""Of what cross-attention reads."""


def _put(module: nn.Module, part: AdapterPart, fitted: Fitted, name: str, strength: float, who: str) -> None:
    from peft import inject_adapter_in_model
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict

    try:
        with _read_warnings():
            inject_adapter_in_model(_config(part, fitted), module, adapter_name=name)
            _keep_precision(module, name)
            if fitted.ranks and kind_of(part) == "LORA":
                _drop_what_is_not_there(module, fitted, name)
            state = fitted.state
            set_peft_model_state_dict(module, dict(state), adapter_name=name)
            acting = get_peft_model_state_dict(module, adapter_name=name)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = first_line(error)
        raise AdapterError(f"{who}: {reason}") from error
    if missing := acting.keys() - state.keys():
        raise AdapterError(f"{who}: it lacks {len(missing)} tensors of its layers, first {min(missing)}")
    if wrong := [each for each in state if not _is_same(acting.get(each), state[each])]:
        raise AdapterError(f"{who}: {len(wrong)} of {len(state)} tensors have no place there, first {min(wrong)}")
    for layer in module.modules():
        if isinstance(layer, BaseTunerLayer):
            _set_strength(layer, name, strength)


def _config(part: AdapterPart, fitted: Fitted) -> Any:
    """PEFT's config that adapts exactly these layers, without chance."""
    from peft import LoraConfig, get_peft_config

    targets = _any_of(fitted.layers)
    if (kind := kind_of(part)) != "LORA":
        if kind not in PEFT_KINDS:
            raise ValueError(f"PEFT's kind {kind} is not read here")
        own = dict(part.config) | {key: 0.0 for key in _DROPOUTS if key in part.config}
        own |= {key: None for key in ("exclude_modules", "layers_to_transform", "layers_pattern") if key in own}
        if fitted.ranks:
            own |= _by_layer(fitted, "alpha")
        return get_peft_config({**own, "target_modules": targets, "inference_mode": False, _INITS[kind]: True})
    return LoraConfig(
        **_by_layer(fitted, "lora_alpha"),
        target_modules=targets,
        use_dora=any("lora_magnitude_vector" in each for each in fitted.state),
        lora_bias=any(each.endswith("lora_B.bias") for each in fitted.state),
        modules_to_save=part.config.get("modules_to_save"),
    )


def _by_layer(fitted: Fitted, alpha: str) -> dict[str, Any]:
    """The fields that tell ranks and alphas; the alpha's name is the kind's."""
    alphas = {layer: fitted.scales[layer] * rank for layer, rank in fitted.ranks.items()}
    common = [Counter(each.values()).most_common(1)[0][0] for each in (fitted.ranks, alphas)]
    patterns = {"rank_pattern": _patterns(fitted.ranks, common[0]), "alpha_pattern": _patterns(alphas, common[1])}
    return {"r": common[0], alpha: common[1], **patterns}


def _any_of(layers: Any) -> str:
    return f"(?:{'|'.join(re.escape(layer) for layer in sorted(layers))})"


def _patterns(values: Mapping[str, Any], common: Any) -> dict[str, Any]:
    """One pattern for each value: PEFT tries them all on each layer, and a file may have hundreds."""
    others: dict[Any, list[str]] = {}
    for layer, value in values.items():
        if value != common:
            others.setdefault(value, []).append(layer)
    return {f"^{_any_of(layers)}": value for value, layers in others.items()}


def _keep_precision(module: nn.Module, name: str) -> None:
    """An adapter acts in float32 at least, on a base in half precision, too, as it was trained."""
    for key, parameter in module.named_parameters():
        if f".{name}." in f"{key}." and parameter.dtype in (torch.float16, torch.bfloat16):
            parameter.data = parameter.data.float()


def _drop_what_is_not_there(module: nn.Module, fitted: Fitted, name: str) -> None:
    """PEFT gives all layers magnitudes, or biases, where one has; those that the file has none of have none."""
    for layer in fitted.ranks:
        own: Any = module.get_submodule(layer)
        if f"{layer}.lora_magnitude_vector" not in fitted.state and name in own.lora_magnitude_vector:
            own.lora_variant.pop(name, None)
            del own.lora_magnitude_vector[name]
        if f"{layer}.lora_B.bias" not in fitted.state and own.lora_bias.get(name):
            own.lora_B[name].bias = None
            own.lora_bias[name] = False


def _is_same(acting: Tensor | None, given: Tensor) -> bool:
    if acting is None or acting.shape != given.shape:
        return False
    return torch.equal(acting, given.to(acting.device, acting.dtype))


def move_adapter(module: nn.Module, name: str, device: torch.device) -> None:
    """Bring what PEFT has put into a module under `name` to a device; PEFT puts it where the module's weights are."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for layer in module.modules():
        kinds = (*layer.adapter_layer_names, *layer.other_param_names) if isinstance(layer, BaseTunerLayer) else ()
        for held in (getattr(layer, kind, None) for kind in kinds):
            own = held[name] if isinstance(held, Mapping | nn.ModuleDict | nn.ParameterDict) and name in held else None
            if isinstance(own, Tensor):
                own.data = own.data.to(device)
            elif isinstance(own, nn.Module):
                own.to(device)


def take_off(pipeline: Any) -> None:
    """Give every component of the pipeline its own layers back, whoever put adapters there."""
    for component in pipeline.components.values():
        if isinstance(component, nn.Module):
            _make_plain(component)


def _make_plain(component: nn.Module) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import AuxiliaryTrainingWrapper

    for module in list(component.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, BaseTunerLayer):
                setattr(module, name, child.get_base_layer())
            elif isinstance(child, AuxiliaryTrainingWrapper):
                setattr(module, name, child.original_module)
    if hasattr(component, "peft_config"):
        model: Any = component
        del model.peft_config
        model._hf_peft_config_loaded = False


@contextmanager
def _read_warnings() -> Iterator[None]:
    """PEFT draws what the file's tensors then replace, and warns; what is not known to be harmless is passed on."""
    with torch.random.fork_rng(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    for warning in said:
        if not _HARMLESS.match(str(warning.message)):
            warnings.warn(str(warning.message), warning.category, stacklevel=3)


def _set_strength(layer: Any, name: str, strength: float) -> None:
    with torch.no_grad():
        if name in getattr(layer, "scaling", {}):
            layer.scaling[name] *= strength
        elif name in getattr(layer, "ia3_l", {}):
            layer.ia3_l[name].sub_(1).mul_(strength).add_(1)
        elif name in getattr(layer, "oft_R", {}):
            layer.oft_R[name].weight.mul_(strength)
