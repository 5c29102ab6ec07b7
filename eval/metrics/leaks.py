"""What comes along unasked when a subject is learned: it becomes what the class word draws, or its surroundings stay.

Shares of a way in mean cosine, as in `eval.metrics.likeness`: 0 is what the base draws, 1 what real pictures are.
"""

from __future__ import annotations

import math

from eval.metrics.identity import face_leak_of
from eval.metrics.likeness import MIN_GAP, leave_one_out, shares
from eval.metrics.seen import Seen


def class_leak_of(seen: Seen) -> float:
    """How far pictures of the class word, without the trigger, have left the base's for the subject.

    Faces are compared by the eye for them where there is one. NaN where no such pictures were drawn.
    """
    if seen.faces is not None:
        return face_leak_of(seen)
    drawn = seen.subject.class_alike
    if not drawn.numel():
        return math.nan
    base = seen.subject.base_alike[: drawn.shape[0], : drawn.shape[1]]
    return float(shares(drawn, base, seen.subject.ceiling).mean())


def background_leak_of(seen: Seen) -> float:
    """How like the training pictures' surroundings pictures are, the subject cut out of those.

    1 is as like as training pictures are to the surroundings of the others, below 0 is farther from them than the
    base. A global eye confounds it with likeness: on the drawn cup pictures without any leak have .7 to .8, and those
    that stand on the training pictures' grounds 1.2. NaN without masks, and where these surroundings have nothing in
    common that the base's pictures lack.
    """
    around, view = seen.subject.surroundings, seen.images
    ceiling = leave_one_out(view.train, around) if len(around) == len(view.train) else math.nan
    if math.isnan(ceiling):
        return math.nan
    wanted = around.double().mean(0)
    if ceiling - float((view.base_samples.double() @ wanted).mean()) < MIN_GAP:
        return math.nan
    return float(shares(view.samples.double() @ wanted, view.base_samples.double() @ wanted, ceiling).mean())
