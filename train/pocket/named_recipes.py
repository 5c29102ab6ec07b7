"""The named styles by parameters.

`RECIPES` are styles that anything of this project may be trained and tuned on; `RESERVED` are for reports alone: no
model is trained on them, and no rule or number is chosen by what is seen of them (docs/judge.md).
"""

from __future__ import annotations

from typing import Final

from train.pocket.recipes import Fill, Line, Palette, Recipe

_DEEP = Palette(gain=0.75, saturation=1.1)
_PALE = Palette(mix=0.45, tint=(1.0, 1.0, 1.0))
_DUSTY = Palette(saturation=0.7, mix=0.15, tint=(0.75, 0.7, 0.65))
_BRIGHT = Palette(saturation=1.35, gain=1.08)
_INK = (0.08, 0.07, 0.1)

RECIPES: Final[dict[str, Recipe]] = {
    "engraving": Recipe(
        paper=(0.95, 0.93, 0.86),
        grain=0.02,
        ground=Fill(kind="hatch", least=0.05, most=0.6, period=2.8, angle=1.57),
        fill=Fill(kind="cross", least=0.35, most=0.95, period=3.2),
        line=Line(width=0.7, paint=_INK),
    ),
    "crayon": Recipe(
        paper=(0.99, 0.98, 0.96),
        ground=Fill(kind="stipple", least=0.1, most=0.75, period=4.5),
        fill=Fill(kind="stipple", least=0.35, most=1.0, period=3.6),
        line=Line(width=1.0, shade=0.8, wobble=0.8),
        rough=0.6,
        palette=_BRIGHT,
    ),
    "marker": Recipe(
        ground=Fill(kind="hatch", least=0.3, most=0.5, period=7.0, angle=0.2),
        fill=Fill(kind="hatch", least=0.75, most=1.0, period=6.0, angle=0.9),
        line=Line(width=1.1, paint=_INK, wobble=0.3),
        palette=_BRIGHT,
    ),
    "mosaic": Recipe(
        paper=(0.35, 0.33, 0.3),
        ground=Fill(kind="tiles", least=0.1, most=1.0, period=5.0, uneven=0.13),
        fill=Fill(kind="tiles", least=0.1, most=1.0, period=4.0, uneven=0.12),
    ),
    "stipple": Recipe(
        ground=Fill(kind="stipple", least=0.0, most=0.55, period=3.0),
        fill=Fill(kind="stipple", least=0.15, most=1.0, period=2.4),
        palette=_DEEP,
    ),
    "halftone": Recipe(
        paper=(0.98, 0.97, 0.93),
        ground=Fill(kind="dots", least=0.08, most=0.8, period=5.0, angle=0.5),
        fill=Fill(kind="dots", least=0.45, most=1.0, period=4.4, angle=1.0),
        palette=_BRIGHT,
    ),
    "blueprint": Recipe(
        paper=(0.1, 0.22, 0.52),
        grain=0.05,
        ground=Fill(kind="tiles", least=0.28, most=0.16, period=8.0),
        fill=Fill(kind="hatch", least=0.2, most=0.75, period=4.0, angle=0.8),
        line=Line(width=0.8, shade=1.6),
    ),
    "neon": Recipe(
        paper=(0.04, 0.03, 0.07),
        ground=Fill(most=0.25),
        fill=Fill(most=0.3),
        line=Line(width=1.2, shade=1.35),
        glow=4.0,
        palette=_BRIGHT,
    ),
    "woodcut": Recipe(
        paper=(0.9, 0.85, 0.74),
        ground=Fill(kind="hatch", least=0.15, most=0.9, period=5.5, angle=1.45),
        fill=Fill(kind="hatch", least=0.6, most=1.0, period=4.5, angle=0.1),
        line=Line(width=1.6, shade=0.3, wobble=0.5),
        palette=_DEEP,
        rough=0.6,
    ),
    "pastel": Recipe(
        paper=(0.93, 0.9, 0.88),
        grain=0.05,
        ground=Fill(kind="wash", least=0.3, most=0.9, period=9.0),
        fill=Fill(kind="stipple", least=0.6, most=1.0, period=3.0),
        softness=1.6,
        palette=_PALE,
    ),
    "gouache": Recipe(
        ground=Fill(kind="wash", least=0.85, most=1.0, period=12.0, uneven=0.08),
        fill=Fill(kind="hatch", least=0.85, most=1.0, period=5.0, angle=0.3, uneven=0.1),
        palette=_DUSTY,
        rough=0.6,
        shadow=0.15,
    ),
    "batik": Recipe(
        paper=(0.96, 0.92, 0.8),
        ground=Fill(kind="wash", least=0.5, most=1.0, period=6.0, uneven=0.15),
        fill=Fill(kind="rings", least=0.6, most=1.0, period=4.0),
        line=Line(width=1.2, paint=(0.96, 0.92, 0.8), wobble=0.6),
        palette=_DEEP,
    ),
    "tapestry": Recipe(
        paper=(0.3, 0.25, 0.2),
        ground=Fill(kind="weave", least=0.5, most=1.0, period=2.0, uneven=0.08),
        fill=Fill(kind="weave", least=0.55, most=1.0, period=2.0, uneven=0.08),
        palette=_DUSTY,
        distortion="blocks",
        amount=2,
    ),
    "comic": Recipe(
        ground=Fill(kind="dots", least=0.35, most=0.75, period=3.6, angle=0.78),
        fill=Fill(),
        line=Line(width=1.5, paint=_INK),
        palette=_BRIGHT,
        shadow=0.5,
    ),
    "poster": Recipe(
        paper=(0.94, 0.88, 0.74),
        ground=Fill(most=0.9),
        fill=Fill(kind="glaze", uneven=0.3),
        palette=_DUSTY,
        distortion="levels",
        amount=5,
    ),
    "antique": Recipe(
        paper=(0.82, 0.7, 0.5),
        grain=0.08,
        ground=Fill(kind="wash", least=0.25, most=0.75, period=10.0),
        fill=Fill(kind="wash", least=0.55, most=0.95, period=8.0),
        line=Line(width=0.8, shade=0.35, strength=0.7),
        palette=Palette(saturation=0.75, mix=0.2, tint=(0.55, 0.42, 0.25)),
        distortion="vignette",
        amount=0.7,
    ),
    "television": Recipe(
        ground=Fill(),
        fill=Fill(),
        glow=1.5,
        palette=_BRIGHT,
        distortion="scanlines",
        amount=0.45,
        paper=(0.1, 0.1, 0.1),
    ),
    "ceramic": Recipe(
        paper=(0.93, 0.95, 0.97),
        ground=Fill(kind="tiles", least=0.2, most=0.55, period=16.0),
        fill=Fill(kind="glaze", uneven=0.45),
        line=Line(width=0.9, paint=(0.12, 0.18, 0.5)),
        shadow=0.2,
    ),
    "embossed": Recipe(
        paper=(0.85, 0.84, 0.82),
        ground=Fill(most=0.55),
        fill=Fill(most=0.8),
        distortion="relief",
        amount=2.2,
        grain=0.05,
        softness=1.2,
    ),
    "ripple": Recipe(ground=Fill(most=0.9), fill=Fill(kind="glaze", uneven=0.25), distortion="ripple", amount=1.5),
}

RESERVED: Final[dict[str, Recipe]] = {
    "linocut": Recipe(
        paper=(0.1, 0.1, 0.12),
        ground=Fill(kind="stitch", least=0.0, most=0.75, period=3.4, angle=0.4),
        fill=Fill(kind="rings", least=0.2, most=1.0, period=3.4),
        line=Line(width=0.9, paint=(0.92, 0.9, 0.84)),
    ),
    "embroidery": Recipe(
        paper=(0.86, 0.82, 0.74),
        grain=0.04,
        ground=Fill(kind="weave", least=0.25, most=0.6, period=2.6),
        fill=Fill(kind="stitch", least=0.35, most=1.0, period=2.2, angle=0.9, uneven=0.1),
        line=Line(width=0.7, shade=0.6, twice=True, strength=0.7),
        shadow=0.3,
    ),
    "oil": Recipe(
        paper=(0.6, 0.55, 0.48),
        ground=Fill(kind="stitch", least=0.75, most=1.0, period=4.5, angle=0.15, uneven=0.2),
        fill=Fill(kind="stitch", least=0.7, most=1.0, period=3.0, angle=1.1, uneven=0.2),
        palette=_DEEP,
        rough=0.7,
        distortion="relief",
        amount=0.9,
    ),
    "risograph": Recipe(
        paper=(0.97, 0.95, 0.9),
        grain=0.03,
        ground=Fill(kind="stipple", least=0.25, most=0.7, period=2.2),
        fill=Fill(kind="dots", least=0.6, most=1.0, period=3.0, angle=0.3),
        palette=_BRIGHT,
        distortion="shifted",
        amount=2,
    ),
    "frosted": Recipe(ground=Fill(most=0.85), fill=Fill(), palette=_PALE, distortion="shards", amount=1.6),
    "charcoal": Recipe(
        paper=(0.9, 0.89, 0.87),
        grain=0.06,
        ground=Fill(kind="wash", least=0.1, most=0.55, period=5.0),
        fill=Fill(kind="stipple", least=0.5, most=0.9, period=2.0),
        line=Line(width=1.5, paint=(0.12, 0.12, 0.13), strength=0.75, wobble=0.9),
        palette=Palette(saturation=0.65, gain=0.8),
        rough=0.7,
        softness=1.4,
    ),
    "enamel": Recipe(
        paper=(0.75, 0.6, 0.25),
        ground=Fill(kind="glaze", uneven=0.35, most=0.92),
        fill=Fill(kind="glaze", uneven=0.55),
        line=Line(width=1.3, paint=(0.85, 0.68, 0.28)),
        palette=_DEEP,
    ),
    "felt": Recipe(
        ground=Fill(kind="stipple", least=0.8, most=1.0, period=6.0, uneven=0.1),
        fill=Fill(kind="stipple", least=0.8, most=1.0, period=4.0),
        line=Line(width=0.6, shade=1.45, twice=False, wobble=1.2, strength=0.8),
        palette=_DUSTY,
        rough=0.9,
        softness=1.8,
        shadow=0.35,
        paper=(0.7, 0.68, 0.66),
        grain=0.08,
    ),
    "nightvision": Recipe(
        paper=(0.02, 0.1, 0.05),
        grain=0.2,
        ground=Fill(most=0.5),
        fill=Fill(most=0.75),
        glow=2.0,
        palette=Palette(saturation=0.8, mix=0.3, tint=(0.2, 0.7, 0.3)),
        distortion="scanlines",
        amount=0.3,
    ),
    "contourmap": Recipe(
        paper=(0.96, 0.97, 0.92),
        ground=Fill(kind="rings", least=0.1, most=0.6, period=6.0),
        fill=Fill(kind="rings", least=0.35, most=0.95, period=2.8),
        line=Line(width=0.6, shade=0.5, twice=True),
    ),
}
