"""The file that an adapter is saved as: read whoever wrote it, put on a pipeline and taken off again.

One reader serves all commands. Every tensor of a file is part of a layer's update, W + strength · alpha / rank · B·A or
its kind's formula, or the file is refused in one line that says what it is.

We write two formats under one name, `WEIGHTS_FILE`, and the safetensors header tells them apart:

- LoRA, and what can be written as one: diffusers' own format, for `load_lora_weights`. diffusers keeps PEFT's config
  under `lora_adapter_metadata`, a JSON object of `"<component>.<field>": value`.
- Kinds that diffusers does not load (LoHa, LoKr, IA³, OFT): tensors are named `<component>.<PEFT's name>`, where
  PEFT's names are those of `get_peft_model_state_dict` and a component is an attribute of the pipeline (`unet`,
  `text_encoder`, …). The header's `peft_configs` is a JSON object of component to PEFT's config as `to_dict` gives it.
"""

from foundation.adapters.files.acting import in_words, move_adapter, put_on, put_parts_on, take_off
from foundation.adapters.files.opened import adapter_files
from foundation.adapters.files.part import WEIGHTS_FILE, AdapterPart, kind_of, lora_config, plain_config, write_parts
from foundation.adapters.files.reading import read_parts
from foundation.adapters.files.saved import Saved, saved_by, saved_in

__all__ = [
    "WEIGHTS_FILE",
    "AdapterPart",
    "Saved",
    "adapter_files",
    "in_words",
    "kind_of",
    "lora_config",
    "move_adapter",
    "plain_config",
    "put_on",
    "put_parts_on",
    "read_parts",
    "saved_by",
    "saved_in",
    "take_off",
    "write_parts",
]
