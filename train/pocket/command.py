"""`python -m train.pocket`: trains the pocket base and its CLIP anew, seeded, and writes their card.

The CLIP trains in a process of its own beside VAE and UNet, each on half of the cores; then the UNet has all of them.
After a crash the same command goes on from the last saved state. (A module of its own, for a new process cannot import
what stands in a package's `__main__`.)
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from pathlib import Path

import torch

from foundation.quiet import quiet_libraries

quiet_libraries()  # before the libraries are imported: some speak at import

from diffusers import AutoencoderKL  # noqa: E402

from train.pocket.clip import train_clip  # noqa: E402
from train.pocket.unet import train_unet  # noqa: E402
from train.pocket.vae import train_vae  # noqa: E402

_ROOT = Path(__file__).parents[2]


def main() -> None:
    """Parse the command line and run the stages that it names."""
    parser = argparse.ArgumentParser(
        prog="python -m train.pocket",
        description=__doc__,
        epilog="example: python -m train.pocket vae unet --seed 20",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("stages", nargs="*", default=[], help="of vae, unet, clip, card; none named: all of them")
    parser.add_argument("--seed", type=int, default=20, help="of all that is drawn and learned")
    parser.add_argument(
        "--pipeline", type=Path, default=_ROOT / "train/pocket/weights/pipeline", help="where the base goes"
    )
    parser.add_argument("--clip", type=Path, default=_ROOT / "eval/pocket_clip", help="where the CLIP goes")
    parser.add_argument(
        "--state", type=Path, default=_ROOT / "multirun/cache/pocket_training", help="kept to go on from"
    )
    arguments = parser.parse_args()
    stages = arguments.stages or ["vae", "unet", "clip", "card"]
    if unknown := set(stages) - {"vae", "unet", "clip", "card"}:
        parser.error(f"unknown stage {', '.join(sorted(unknown))}; the stages are vae, unet, clip, card")
    arguments.state.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    _train(stages, arguments)
    if "card" in stages:
        from train.pocket.card import write_card

        minutes = (time.monotonic() - began) / 60
        write_card(arguments.pipeline, arguments.clip, arguments.seed, minutes if len(stages) == 4 else None)


def _train(stages: list[str], arguments: argparse.Namespace) -> None:
    child = None
    if "clip" in stages and not _finish(arguments, "clip"):
        child = multiprocessing.get_context("spawn").Process(target=_clip, args=(arguments,))
        child.start()
    cores = torch.get_num_threads()

    def share_cores() -> None:
        torch.set_num_threads(max(1, cores // 2) if child and child.is_alive() else cores)

    share_cores()
    if "vae" in stages and not _finish(arguments, "vae"):
        train_vae(arguments.state / "vae", arguments.state / "vae.pt", arguments.seed)
        (arguments.state / "vae.done").touch()
    if "unet" in stages:
        vae = AutoencoderKL.from_pretrained(arguments.state / "vae", dtype=torch.float32).eval()
        train_unet(vae, arguments.pipeline, arguments.state / "unet.pt", arguments.seed, now_and_then=share_cores)
    if child:
        child.join()
        if child.exitcode:
            raise SystemExit(f"the CLIP's training ended with exit code {child.exitcode}")
    for mark in arguments.state.glob("*.done"):
        mark.unlink()


def _clip(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    train_clip(arguments.clip, arguments.state / "clip.pt", arguments.seed)
    (arguments.state / "clip.done").touch()


def _finish(arguments: argparse.Namespace, stage: str) -> bool:
    return bool((arguments.state / f"{stage}.done").exists())
