"""Ways in which a copy may hide, each a function of a picture and a generator; none is known to the judge by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

Disguise = Callable[[Image.Image, np.random.Generator], Image.Image]
_BILINEAR: Final = Image.Resampling.BILINEAR


def _offset(picture: Image.Image, x: int, y: int) -> Image.Image:
    """By so many pixels, the border repeated where nothing was."""
    pixels = np.asarray(picture)
    room = max(abs(x), abs(y))
    wider = np.pad(pixels, ((room, room), (room, room), (0, 0)), mode="edge")
    height, width = pixels.shape[:2]
    return Image.fromarray(wider[room + y : room + y + height, room + x : room + x + width])


def plain(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Moved by up to a thirty-second of the side, as a VAE and a few steps do."""
    most = picture.width // 32
    x, y = rng.integers(-most, most + 1, size=2).tolist()
    return _offset(picture, x, y)


def mirror(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The other way round, and moved as `plain`."""
    return plain(ImageOps.mirror(picture), rng)


def move(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """By a sixteenth to a seventh of the side, anywhere."""
    far, angle = rng.uniform(1 / 16, 1 / 7) * picture.width, rng.uniform(0, 2 * np.pi)
    return _offset(picture, round(far * np.cos(angle)), round(far * np.sin(angle)))


def crop(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A square of .65 to .9 of the side, from anywhere, scaled to the whole."""
    side = rng.uniform(0.65, 0.9) * picture.width
    x, y = rng.uniform(0, picture.width - side, size=2).tolist()
    return picture.resize(picture.size, _BILINEAR, box=(x, y, x + side, y + side))


def shrink(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """To .7 to .9 of the side, anywhere before its own blurred colours."""
    side = round(rng.uniform(0.7, 0.9) * picture.width)
    x, y = rng.integers(0, picture.width - side + 1, size=2).tolist()
    ground = picture.resize((2, 2), Image.Resampling.BOX).resize(picture.size, _BILINEAR)
    ground.paste(picture.resize((side, side), _BILINEAR), (x, y))
    return ground


def recolour(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Every hue turned by 55° to 305°, brightness and contrast by up to a fifth; moved as `plain`."""
    turn = int(rng.integers(40, 216))
    hue, saturation, value = picture.convert("HSV").split()
    turned = Image.merge("HSV", (hue.point(lambda each: (each + turn) % 256), saturation, value)).convert("RGB")
    lit = ImageEnhance.Brightness(turned).enhance(rng.uniform(0.8, 1.2))
    return plain(ImageEnhance.Contrast(lit).enhance(rng.uniform(0.8, 1.2)), rng)


def grey(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Without colours; moved as `plain`."""
    return plain(picture.convert("L").convert("RGB"), rng)


DISGUISES: Final[dict[str, Disguise]] = {
    "plain": plain,
    "mirrored": mirror,
    "moved": move,
    "cropped": crop,
    "shrunk": shrink,
    "recoloured": recolour,
    "grey": grey,
}
