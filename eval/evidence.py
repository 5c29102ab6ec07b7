"""What the judge is shown of a checkpoint, from the pictures that it drew."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from eval.extractors import FeatureExtractors, StyleExtractor
from eval.feature_sets import SampleFeatures, SubjectFeatures, SubjectSamples
from eval.features import FeatureExtractor
from eval.judge import Evidence
from eval.parts import alike
from eval.reference import by_prompt
from eval.thumbnails import compositions


def build_evidence(
    eyes: FeatureExtractors,
    *,
    step: int,
    samples: Sequence[Image.Image],
    unrelated: Sequence[Image.Image],
    training: Sequence[Image.Image] = (),
    of_class: Sequence[Image.Image] = (),
    num_seeds: int,
    unrelated_seeds: int,
    validation_losses: Tensor,
    subject: SubjectFeatures | None = None,
) -> Evidence:
    """Look with the `eyes` at P·S `samples` and U·R `unrelated` pictures of a checkpoint, prompt by prompt.

    S = `num_seeds`, R = `unrelated_seeds`; `training` are K pictures of training captions, one of each, `of_class`
    those of the class word, with R seeds like the unrelated ones; `step` is the checkpoint's, `validation_losses`
    (N, B) are, and `subject` that of its reference.
    """

    def look(eye: FeatureExtractor | StyleExtractor) -> SampleFeatures:
        return SampleFeatures(
            samples=by_prompt(eye.images(samples), num_seeds),
            unrelated=by_prompt(eye.images(unrelated), unrelated_seeds),
        )

    def look_for_faces(eye: FeatureExtractor) -> SampleFeatures:
        return SampleFeatures(
            samples=by_prompt(eye.images(samples), num_seeds), unrelated=by_prompt(eye.images([]), unrelated_seeds)
        )

    def how_alike(real: SubjectFeatures, images: Sequence[Image.Image], seeds: int) -> Tensor:
        rows = alike(eyes.image or eyes.clip, eyes.patches, images, real)
        return rows.reshape(len(rows) // seeds, seeds)

    of_clip = look(eyes.clip)
    return Evidence(
        step=step,
        samples=of_clip.samples,
        unrelated=of_clip.unrelated,
        validation_losses=validation_losses,
        compositions=by_prompt(compositions(samples), num_seeds),
        training_compositions=compositions(training),
        image=look(eyes.image) if eyes.image else None,
        style=look(eyes.style),
        faces=look_for_faces(eyes.faces) if eyes.faces else None,
        subject=None
        if subject is None
        else SubjectSamples(
            alike=how_alike(subject, samples, num_seeds),
            of_class=how_alike(subject, of_class, unrelated_seeds),
            faces_of_class=by_prompt(eyes.faces.images(of_class), unrelated_seeds) if eyes.faces else None,
        ),
    )
