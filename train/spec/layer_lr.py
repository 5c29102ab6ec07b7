"""Learning rates as the adapted layers feel them, whatever the adapter's rank and alpha are.

Optimizers such as AdamW and Lion step by the learning rate, however large the gradient is. LoRA's update of a layer is
s·B·A with B = 0 at the start, so a step of B changes the layer by lr · s times some of A's rows, which are random: by
lr · s · √rank. Measured over the first ten steps on the embedded base, ranks 4 to 32, alpha_ratio .25 to 2, rates in a
range of 16: lr^1.04 · s^.98 · rank^.56 (docs/decisions/021). So the same `lr` is another rate for each rank and alpha,
and lr · s · √rank is the same one; rsLoRA's scale has the √rank in it (arXiv:2312.03732), and arXiv:2602.06204 has how
the best rate goes with the rank.
"""

from __future__ import annotations

import math
from typing import Final

from train.spec.adapter import AdapterSpec
from train.spec.adapter_kinds import ADAPTER_KINDS

LAYER_LR: Final = "layer_lr"
"""What a search calls such a rate, where the optimizer's own is `lr`."""
USUAL_RANK: Final = 16
"""With this rank, and alpha = rank, layers feel the learning rate as it is."""
_DIGITS: Final = 4


def layer_lr(lr: float, adapter: AdapterSpec) -> float:
    """Return the rate that layers feel where the optimizer's learning rate is `lr`."""
    return lr * _growth(adapter)


def lr_for_layers(rate: float, adapter: AdapterSpec) -> float:
    """Return the optimizer's learning rate by which layers feel `rate`, to four digits."""
    return float(f"{rate / _growth(adapter):.{_DIGITS}g}")


def _growth(adapter: AdapterSpec) -> float:
    """How much more a step changes a layer than with USUAL_RANK and alpha = rank.

    Of LoRA and its kin by scale and √rank; where the update is no product of two factors by the scale alone.
    """
    fields = ADAPTER_KINDS[adapter.name].fields
    if "rank" not in fields:
        return 1.0
    if adapter.name in ("loha", "lokr"):
        return adapter.alpha_ratio
    of_scale = math.sqrt(adapter.rank) if adapter.rslora else 1.0  # alpha / √rank is alpha_ratio · √rank
    return adapter.alpha_ratio * of_scale * math.sqrt(adapter.rank / USUAL_RANK)
