"""Brings pack and judge together on a worker: draws with a slot's adapter, looks, and judges against the reference."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from PIL import Image
from torch import Tensor

from eval.evaluation import Evaluation
from eval.evidence import build_evidence
from eval.eyes import load_eyes
from eval.judge import Evidence, judge
from eval.prompts import with_trigger, without_trigger
from eval.reference import Reference, build_reference
from eval.sampling import sample_each
from eval.spec import EvalSpec
from eval.validation import ValidationSet, validation_losses_each
from eval.views import Seen, View
from foundation.durable import new_folder
from foundation.images import square
from sweeper.pictures import PROMPT, UNRELATED, grid, picture_name, sheet_name
from train.bases import Base
from train.caches import EncodedDataset
from train.data import Dataset
from train.pack import Pack

_TILE = 128
_NOT_SEEN = ("thresholds", "every", "warmup_evaluations", "final_prompts")
"""Fields of `EvalSpec` that change nothing of what is drawn and seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """Pictures of one checkpoint in prompt-major order: P·S for the prompts, U·S for the unrelated ones."""

    samples: list[Image.Image]
    unrelated: list[Image.Image]


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A slot that is to be judged."""

    slot: int
    step: int
    history: Sequence[Evaluation]
    """Of its trial, earlier evaluations."""
    pictures: Path
    """The folder that its pictures go to."""


class Judging:
    """The judge of one study on one device. The reference is computed once and shared through the cache."""

    def __init__(self, pack: Pack, dataset: Dataset, data: EncodedDataset, spec: EvalSpec, trigger: str, cache: Path):
        self._pack = pack
        self._trigger = trigger
        self._spec = spec
        self._cache = cache
        self._dataset = dataset
        self._eyes = load_eyes(spec, pack.base.device)
        alphas = pack.base.process.alphas_cumprod
        self._validation = ValidationSet(
            latents=data.validation.means,
            embeddings=data.validation.embeddings,
            ids=[picture.digest for picture in dataset.validation],
            alphas_cumprod=None if alphas is None else alphas.cpu(),
            prediction_type=pack.base.process.prediction_type,
            num_bins=spec.timestep_bins,
            noises_per_bin=spec.noises_per_bin,
            seed=spec.validation_seed,
        )
        self._references: dict[EvalSpec, Reference] = {}
        self._seen: dict[tuple[Path, float], tuple[EvalSpec, Evidence]] = {}
        self.reference(spec)

    def judge(self, due: Sequence[Due]) -> list[Evaluation]:
        """Judge what these slots have learned, in the same batches, and write each one's pictures to its folder."""
        parts = 2 if self._spec.guidance_scale > 1 else 1
        at_once = max(1, self._spec.batch_rows // parts)
        return [
            evaluation
            for start in range(0, len(due), at_once)
            for evaluation in self._judge_together(due[start : start + at_once], parts)
        ]

    def _judge_together(self, due: Sequence[Due], parts: int) -> list[Evaluation]:
        slots = [each.slot for each in due]
        with self._pack.acting(slots, parts) as base:
            drawn = self._draw(base, self._spec, len(due))
        embeddings = [self._embeddings(slot) for slot in slots]
        with self._pack.acting(slots) as base:
            losses = self._losses(base, embeddings)
        reference = self.reference(self._spec)
        return [
            judge(reference, self._look(each.step, pictures, own, each.pictures, self._spec), each.history, self._spec)
            for each, pictures, own in zip(due, drawn, losses, strict=True)
        ]

    def judge_file(
        self, checkpoint: Path, step: int, folder: Path, seeds: tuple[int, ...], strength: float = 1.0
    ) -> Evaluation:
        """Judge a saved checkpoint as finalists are, loaded as a user would load it; no slot is touched.

        The pictures go to `folder`. Where the last look at this file had these seeds first and others after them,
        nothing is drawn again, and its pictures stay where they are.
        """
        spec = self._spec.for_finalists(seeds)
        before, evidence = self._seen.get((checkpoint, strength), (None, None))
        if before is None or evidence is None or before.seeds[: len(seeds)] != seeds:
            with self._pack.acting_file(checkpoint, strength) as base:
                (drawn,) = self._draw(base, spec, 1)
                (losses,) = self._losses(base, [self._encoded(base)])
            evidence = self._look(step, drawn, losses, folder, spec)
            self._seen[checkpoint, strength] = (spec, evidence)
        return judge(self.reference(spec), evidence.first_seeds(len(seeds)), [], spec)

    def draw_file(self, checkpoint: Path, folder: Path, prompts: int, seed: int, strength: float) -> None:
        """Draw the first so many of the finalists' prompts with a saved checkpoint, to be looked at by people."""
        spec = self._spec.for_finalists((seed,))
        spec = replace(spec, prompts=spec.prompts[:prompts], unrelated_prompts=())
        with self._pack.acting_file(checkpoint, strength) as base:
            (drawn,) = self._draw(base, spec, 1)
        write_pictures(folder, drawn, 1)

    def judge_base(self, spec: EvalSpec) -> Evaluation:
        """What the base itself would be told by `spec`: what a checkpoint's numbers begin at."""
        reference = self.reference(spec)
        evidence = Evidence(
            step=0,
            samples=reference.base_samples,
            unrelated=reference.base_unrelated,
            validation_losses=reference.base_validation,
            compositions=reference.base_compositions,
            image=_of_base(reference.image),
            style=_of_base(reference.style),
        )
        return judge(reference, evidence, [], spec)

    def _look(self, step: int, drawn: Drawn, losses: Tensor, folder: Path, spec: EvalSpec) -> Evidence:
        """What the judge sees of pictures, which go to `folder`."""
        write_pictures(folder, drawn, len(spec.seeds))
        return build_evidence(
            self._eyes,
            step=step,
            samples=drawn.samples,
            unrelated=drawn.unrelated,
            num_seeds=len(spec.seeds),
            validation_losses=losses,
        )

    def reference(self, spec: EvalSpec) -> Reference:
        """What checkpoints drawn by `spec` are held against; from memory, from the cache, or computed."""
        whole = self._whole(spec)
        if whole not in self._references:
            file = self._cache / f"reference-{self._key(whole)}.safetensors"
            if not (file.exists() and self.base_pictures(whole).exists()):
                self._build(whole).save(file)
            self._references[whole] = Reference.load(file)
        return self._references[whole].first_seeds(len(spec.seeds))

    def _whole(self, spec: EvalSpec) -> EvalSpec:
        """What the base was drawn by already, these seeds first and perhaps others after them; else `spec`."""
        count = len(spec.seeds)
        same = (o for o in self._references if o.seeds[:count] == spec.seeds and replace(o, seeds=spec.seeds) == spec)
        return next(same, spec)

    def sheets(self, folder: Path) -> tuple[tuple[str, Path], ...]:
        """Each prompt with the file, among what `write_pictures` wrote, that shows all its seeds side by side."""
        asked = {PROMPT: self._spec.prompts, UNRELATED: self._spec.unrelated_prompts}
        return tuple(
            (with_trigger(prompt, self._trigger), folder / sheet_name(kind, number))
            for kind, prompts in asked.items()
            for number, prompt in enumerate(prompts)
        )

    def base_pictures(self, spec: EvalSpec) -> Path:
        """The folder of what the base draws, under the names that `write_pictures` gives."""
        return self._cache / f"base-{self._key(self._whole(spec))}"

    def _build(self, spec: EvalSpec) -> Reference:
        with self._pack.acting([]) as base:
            (drawn,) = self._draw(base, spec, 1)
            (losses,) = self._losses(base, [self._validation.embeddings])
        write_pictures(self.base_pictures(spec), drawn, len(spec.seeds))
        side = self._pack.base.resolution
        return build_reference(
            self._eyes,
            train=[square(picture.open(), side) for picture in self._dataset.train],
            held_out=[square(picture.open(), side) for picture in self._dataset.validation],
            prompts=[without_trigger(prompt, self._trigger, spec.stand_in) for prompt in spec.prompts],
            base_samples=drawn.samples,
            base_unrelated=drawn.unrelated,
            num_seeds=len(spec.seeds),
            base_validation=losses,
        )

    def _draw(self, base: Base, spec: EvalSpec, copies: int) -> list[Drawn]:
        prompts = [*(with_trigger(prompt, self._trigger) for prompt in spec.prompts), *spec.unrelated_prompts]
        drawn = sample_each(
            base.pipeline,
            prompts,
            spec.seeds,
            copies=copies,
            steps=spec.sample_steps,
            guidance_scale=spec.guidance_scale,
            batch_rows=spec.batch_rows,
        )
        first = len(spec.prompts) * len(spec.seeds)
        return [Drawn(samples=images[:first], unrelated=images[first:]) for images in drawn]

    def _embeddings(self, slot: int) -> Tensor:
        """The validation captions as a slot's denoiser is to meet them."""
        if not self._pack.spec(slot).adapter.text_encoder:
            return self._validation.embeddings
        with self._pack.acting([slot]) as base:
            return self._encoded(base)

    def _encoded(self, base: Base) -> Tensor:
        """The validation captions by the text encoder as it acts."""
        return base.encode_texts([picture.caption for picture in self._dataset.validation]).cpu()

    def _losses(self, base: Base, embeddings: Sequence[Tensor]) -> Tensor:
        def denoise(noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
            device = base.device
            return base.predict(noisy.to(device), timesteps.to(device), embeddings.to(device))

        return validation_losses_each(self._validation, denoise, self._spec.batch_rows, embeddings)

    def _key(self, spec: EvalSpec) -> str:
        base = self._pack.base
        pictures = [picture.digest for picture in (*self._dataset.train, *self._dataset.validation)]
        captions = [picture.caption for picture in self._dataset.validation]
        asked = {k: v for k, v in asdict(spec).items() if k not in _NOT_SEEN}
        held = [field.name for field in fields(Reference)]
        words = [held, base.fingerprint, str(base.dtype), self._trigger, asked, pictures, captions, base.resolution]
        return hashlib.sha256(json.dumps(words, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _of_base(view: View | None) -> Seen | None:
    return Seen(samples=view.base_samples, unrelated=view.base_unrelated) if view else None


def write_pictures(folder: Path, drawn: Drawn, num_seeds: int) -> None:
    """Write each picture, and for each prompt a sheet with all its seeds, whole or not at all."""
    with new_folder(folder) as fresh:
        for kind, images in ((PROMPT, drawn.samples), (UNRELATED, drawn.unrelated)):
            for number in range(len(images) // num_seeds):
                row = images[number * num_seeds : (number + 1) * num_seeds]
                for seed, image in enumerate(row):
                    image.save(fresh / picture_name(kind, number, seed))
                grid(row, num_seeds, _TILE).save(fresh / sheet_name(kind, number))
