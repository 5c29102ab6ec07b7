"""What is to be timed on a GPU runs here, once each, with bases of the same kinds that are small."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmarks import baselines, pack_curve
from benchmarks.baselines import StockTrial
from benchmarks.setting import setting

OPTIONS = ["--batch", "1", "--slots", "1", "2", "--rounds", "1", "--stock-steps", "2", "--graphs"]
WAYS = ["solo", "pack of 1", "pack of 2", "pack of 1, recorded", "pack of 2, recorded", "stock script"]


@pytest.mark.usefixtures("fresh_accelerate")
@pytest.mark.parametrize("base", ["sd15-tiny", "sdxl-tiny"])
def test_every_way_runs_and_is_told_of(
    base: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def once(step: Callable[[], object], *_: object) -> float:
        step()
        return 0.5

    def trained(stock: StockTrial) -> float:
        baselines._stock(stock)
        return 4.0

    monkeypatch.setattr(pack_curve, "_seconds", once)
    monkeypatch.setattr(pack_curve, "_matmul_rate", lambda *_: 1e9)
    monkeypatch.setattr(StockTrial, "seconds", trained)
    pack_curve.main(["--base", base, *OPTIONS])
    table = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0].removeprefix("| ") for row in table[2:]] == WAYS
    assert [row[2] for row in table[2:]] == ["2.0", "2.0", "4.0", "2.0", "4.0", "0.5"]


def test_an_xl_base_is_one() -> None:
    with setting("sdxl-tiny", torch.device("cpu")) as where:
        assert (where.base.family, where.base.dtype, where.resolution) == ("sdxl", torch.bfloat16, 32)
