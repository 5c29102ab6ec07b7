"""The doctor's sheet: every picture with what is amiss of it, the worst first, in one HTML file without a script."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from html import escape
from typing import Final

from PIL import Image

from foundation.data.doctor.findings import Diagnosis, Patient

_SIDE: Final = 240
_STYLE: Final = """
:root { color-scheme: light dark; --paper: #faf9f6; --panel: #fff; --ink: #202228; --faint: #62646d; --rule: #deddd6;
  --bad: #b93a00; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15171b; --panel: #1c1f24; --ink: #e6e5e1; --faint: #a0a3ab; --rule: #343840; --bad: #ff9d66; } }
body { font: 14px/1.45 system-ui, sans-serif; background: var(--paper); color: var(--ink); margin: 0 auto;
  max-width: 1280px; padding: 14px 18px 40px; overflow-wrap: anywhere; }
h1 { font-size: 18px; } li { margin: 2px 0; }
.all { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(180px, 46%), 1fr)); gap: 12px; }
figure { margin: 0; padding: 8px; background: var(--panel); border: 1px solid var(--rule); border-radius: 4px; }
figure.amiss { border-color: var(--bad); }
img { width: 100%; height: 170px; object-fit: contain; display: block; }
figcaption { font-size: 12.5px; } .name { font-weight: 600; } .words { color: var(--faint); }
.bad { color: var(--bad); }
"""


def sheet_of(title: str, diagnosis: Diagnosis, read: Callable[[int], Image.Image]) -> str:
    """Return the sheet of a set; `read` reads its pictures by number. Names and captions are theirs, and escaped."""
    order = sorted(range(len(diagnosis.patients)), key=lambda number: -len(diagnosis.patients[number].problems))
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    advice = "".join(f"<li>{escape(line)}</li>" for line in diagnosis.advice)
    figures = "\n".join(_figure(diagnosis.patients[number], read(number)) for number in order)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>"
        f"<p>{len(diagnosis.patients)} pictures; something is amiss with {diagnosis.num_amiss}.</p><ul>{advice}</ul>"
        f'<div class="all">{figures}</div></body></html>\n'
    )


def _figure(patient: Patient, image: Image.Image) -> str:
    small = image.copy()
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    small.save(data, "JPEG", quality=82)
    source = base64.b64encode(data.getvalue()).decode()
    problems = "".join(f'<div class="bad">{escape(line)}</div>' for line in patient.problems)
    return (
        f'<figure class="{"amiss" if patient.problems else "well"}">'
        f'<img alt="" src="data:image/jpeg;base64,{source}"><figcaption><div class="name">{escape(patient.name)}</div>'
        f'{problems}<div class="words">{escape(patient.caption)}</div></figcaption></figure>'
    )
