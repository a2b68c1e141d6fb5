"""Draws scenes: backgrounds, objects, layout. One slow, exact way for files and one fast way for training.

Both share `layout` (where the objects are) and `draw_background`. All of it lies inside the central square, because the
model's preprocessing cuts everything else off.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from vocabulary import KINDS, PLACES, emoji_font
from world import Scene

# Noto Color Emoji is a bitmap font with a single size.
FONT_SIZE = 109
# Object size as a share of the square's side, by number of objects in the scene.
SIZES = {1: (0.40, 0.62), 2: (0.33, 0.47), 3: (0.29, 0.41), 4: (0.27, 0.38)}
MARGIN = 0.02


def emoji_pictures() -> list[Image.Image]:
    """Every kind as an RGBA picture cut to what is visible."""
    font, pictures = ImageFont.truetype(str(emoji_font()), FONT_SIZE), []
    for kind in KINDS:
        canvas = Image.new("RGBA", (180, 170))
        ImageDraw.Draw(canvas).text((15, 15), kind.emoji, font=font, embedded_color=True)
        box = canvas.getbbox()
        assert box is not None, f"{kind.emoji} is not in the font"
        pictures.append(canvas.crop(box))
    return pictures


@dataclass(frozen=True)
class Placed:
    """An object of the scene: its centre and longest side as shares of the square's side."""

    kind: int
    x: float
    y: float
    size: float


def layout(rng: np.random.Generator, s: Scene) -> list[Placed]:
    """Random places for all objects, none overlapping another; shrinks them until they fit."""
    kinds = [k for k, n in s.objects for _ in range(n)]
    low, high = SIZES[len(kinds)]
    base = rng.uniform(low, high)
    shrink = 1.0
    while True:
        placed: list[Placed] = []
        for kind in kinds:
            size = float(np.clip(base * rng.uniform(0.9, 1.1), low, high)) * shrink
            reach = 0.5 - size / 2 - MARGIN
            for _ in range(12):
                x, y = 0.5 + rng.uniform(-reach, reach), 0.5 + rng.uniform(-reach, reach)
                if all(max(abs(x - o.x), abs(y - o.y)) >= (size + o.size) / 2 for o in placed):
                    placed.append(Placed(kind, x, y, size))
                    break
            else:
                break
        if len(placed) == len(kinds):
            return placed
        shrink *= 0.985


# ---------------------------------------------------------------------------------------------------------------------
# Backgrounds


def _gradient(w: int, h: int, top: tuple, bottom: tuple) -> Image.Image:
    t = np.linspace(0, 1, h)[:, None, None]
    column = np.array(top)[None, None] * (1 - t) + np.array(bottom)[None, None] * t
    return Image.fromarray(np.broadcast_to(column, (h, w, 3)).round().clip(0, 255).astype(np.uint8))


def _vary(rng: np.random.Generator, colour: tuple, amount: float = 10) -> tuple:
    return tuple(int(c) for c in np.clip(np.array(colour) + rng.uniform(-amount, amount) + rng.uniform(-4, 4, 3), 0, 255))


def draw_background(rng: np.random.Generator, place: int, w: int, h: int) -> Image.Image:
    """A random view of the place. The horizon and all tell-tale things are within the central square."""
    u = min(w, h)
    top = (h - u) / 2
    at = lambda share: int(top + share * u)  # noqa: E731 - a height inside the central square
    v = lambda *colour: _vary(rng, colour)  # noqa: E731
    key = PLACES[place].key

    if key == "草地":
        horizon = at(rng.uniform(0.15, 0.35))
        im = _gradient(w, h, v(130, 195, 240), v(200, 230, 250))
        im.paste(_gradient(w, h - horizon, v(130, 195, 80), v(75, 150, 50)), (0, horizon))
        d = ImageDraw.Draw(im)
        for _ in range(int(90 * w / u)):
            x, y, l = rng.uniform(0, w), rng.uniform(horizon + u * 0.03, h), u * rng.uniform(0.02, 0.05)
            d.line([x, y, x + rng.uniform(-l, l) / 2, y - l], fill=v(60, 130, 40), width=max(1, u // 110))
    elif key == "海边":
        sea, sand = at(rng.uniform(0.08, 0.18)), at(rng.uniform(0.38, 0.55))
        im = _gradient(w, h, v(150, 210, 245), v(220, 240, 250))
        im.paste(_gradient(w, sand - sea, v(30, 120, 190), v(70, 190, 210)), (0, sea))
        im.paste(_gradient(w, h - sand, v(245, 225, 170), v(225, 195, 130)), (0, sand))
        d = ImageDraw.Draw(im)
        xs = np.linspace(0, w, 40)
        wave = sand + u * 0.015 * np.sin(xs / u * rng.uniform(8, 16) + rng.uniform(0, 6))
        d.line([(x, y) for x, y in zip(xs, wave)], fill=v(250, 252, 252), width=max(2, u // 40))
        for _ in range(int(12 * w / u)):
            x, y = rng.uniform(0, w), rng.uniform(sea, sand)
            d.line([x, y, x + u * 0.06, y], fill=v(170, 220, 235), width=max(1, u // 110))
    elif key == "雪地":
        horizon = at(rng.uniform(0.15, 0.35))
        im = _gradient(w, h, v(165, 190, 215), v(215, 228, 240))
        im.paste(_gradient(w, h - horizon, v(248, 250, 253), v(222, 232, 245)), (0, horizon))
        d = ImageDraw.Draw(im)
        for _ in range(3):
            x, r = rng.uniform(0, w), u * rng.uniform(0.3, 0.6)
            d.ellipse([x - r, horizon - r * 0.15, x + r, horizon + r * 0.3], fill=v(246, 248, 252))
        for _ in range(int(60 * w / u)):
            x, y, r = rng.uniform(0, w), rng.uniform(0, h), u * rng.uniform(0.004, 0.009)
            d.ellipse([x - r, y - r, x + r, y + r], fill=(255, 255, 255))
    elif key == "夜空":
        im = _gradient(w, h, v(12, 14, 45), v(40, 40, 95))
        d = ImageDraw.Draw(im)
        for _ in range(int(80 * w / u)):
            x, y, r = rng.uniform(0, w), rng.uniform(0, h), u * rng.uniform(0.002, 0.006)
            d.ellipse([x - r, y - r, x + r, y + r], fill=v(235, 235, 220))
    elif key == "沙漠":
        horizon = at(rng.uniform(0.2, 0.35))
        im = _gradient(w, h, v(250, 180, 90), v(253, 225, 165))
        d = ImageDraw.Draw(im)
        for i in range(4):
            xs = np.linspace(0, w, 40)
            y = horizon + i * u * 0.2 + u * 0.06 * np.sin(xs / u * rng.uniform(2, 5) + rng.uniform(0, 6))
            d.polygon([(0, h), *zip(xs, y), (w, h)], fill=v(222 - 12 * i, 165 - 12 * i, 85 - 8 * i))
    elif key == "房间":
        floor = at(rng.uniform(0.6, 0.75))
        wall = [(238, 214, 200), (240, 228, 200), (226, 205, 225), (235, 200, 205)][int(rng.integers(4))]
        im = _gradient(w, h, v(*wall), v(*wall))
        d = ImageDraw.Draw(im)
        for x in np.arange(rng.uniform(0, 0.1) * u, w, u * 0.1):
            d.line([x, 0, x, floor], fill=_vary(rng, tuple(c - 14 for c in wall), 3), width=max(1, u // 75))
        d.rectangle([0, floor, w, h], fill=v(160, 105, 65))
        d.rectangle([0, floor - u * 0.02, w, floor + u * 0.01], fill=v(245, 240, 235))
        for y in np.arange(floor + u * 0.06, h, u * 0.07):
            d.line([0, y, w, y], fill=v(125, 78, 45), width=max(1, u // 110))
    elif key == "街道":
        road = at(rng.uniform(0.5, 0.65))
        im = _gradient(w, h, v(185, 200, 210), v(205, 212, 215))
        d = ImageDraw.Draw(im)
        x = -rng.uniform(0, 0.2) * u
        while x < w:
            width, roof, shade = u * rng.uniform(0.18, 0.3), at(rng.uniform(0.0, 0.25)), rng.uniform(115, 165)
            d.rectangle([x, roof, x + width, road], fill=v(shade, shade - 8, shade - 12))
            for wy in np.arange(roof + u * 0.04, road - u * 0.06, u * 0.09):
                for wx in np.arange(x + u * 0.03, x + width - u * 0.05, u * 0.07):
                    d.rectangle([wx, wy, wx + u * 0.035, wy + u * 0.05], fill=v(225, 220, 180))
            x += width + u * 0.02
        d.rectangle([0, road, w, h], fill=v(88, 88, 94))
        d.rectangle([0, road, w, road + u * 0.05], fill=v(178, 176, 172))
        for x in np.arange(-rng.uniform(0, 0.2) * u, w, u * 0.25):
            y = at(0.83)
            d.rectangle([x, y, x + u * 0.14, y + u * 0.025], fill=v(240, 240, 235))
    elif key == "森林":
        ground = at(rng.uniform(0.65, 0.8))
        im = _gradient(w, h, v(30, 75, 40), v(70, 115, 60))
        d = ImageDraw.Draw(im)
        for x in np.arange(rng.uniform(0, 0.15) * u, w, u * 0.15):
            x += rng.uniform(-0.04, 0.04) * u
            t = u * rng.uniform(0.018, 0.035)
            d.rectangle([x - t, 0, x + t, ground + rng.uniform(0, 0.06) * u], fill=v(72, 50, 34))
        for _ in range(int(22 * w / u)):
            x, y, r = rng.uniform(0, w), rng.uniform(0, at(0.3)), u * rng.uniform(0.06, 0.12)
            d.ellipse([x - r, y - r * 0.7, x + r, y + r * 0.7], fill=_vary(rng, (35, 92, 42), 18))
        d.rectangle([0, ground, w, h], fill=v(58, 66, 34))
    elif key == "天空":
        im = _gradient(w, h, v(60, 140, 225), v(150, 205, 248))
        clouds = Image.new("L", (w, h))
        d = ImageDraw.Draw(clouds)
        for _ in range(int(5 * w / u)):
            x, y, r = rng.uniform(0, w), rng.uniform(0, h), u * rng.uniform(0.1, 0.25)
            d.ellipse([x - r, y - r * 0.2, x + r, y + r * 0.2], fill=150)
        im.paste((250, 252, 255), (0, 0), clouds.filter(ImageFilter.GaussianBlur(u * 0.03)))
    else:
        assert key == "海底", key
        bed = at(rng.uniform(0.8, 0.9))
        im = _gradient(w, h, v(20, 150, 175), v(5, 60, 95))
        rays = Image.new("L", (w, h))
        d = ImageDraw.Draw(rays)
        for _ in range(int(4 * w / u)):
            x, t = rng.uniform(0, w), u * rng.uniform(0.05, 0.1)
            d.polygon([(x, 0), (x + t, 0), (x + t - u * 0.35, h), (x - t - u * 0.45, h)], fill=38)
        im.paste((170, 240, 240), (0, 0), rays.filter(ImageFilter.GaussianBlur(u * 0.015)))
        d = ImageDraw.Draw(im)
        d.rectangle([0, bed, w, h], fill=v(110, 120, 90))
        for _ in range(int(18 * w / u)):
            x, y, r = rng.uniform(0, w), rng.uniform(0, bed), u * rng.uniform(0.008, 0.02)
            d.ellipse([x - r, y - r, x + r, y + r], outline=v(170, 225, 235), width=max(1, u // 160))
    return im


# ---------------------------------------------------------------------------------------------------------------------
# The slow, exact way: pictures for files


def draw_scene(rng: np.random.Generator, s: Scene, w: int, h: int, pictures: list[Image.Image]) -> Image.Image:
    """The scene as an RGB picture of w × h pixels, its objects in the central square."""
    im = draw_background(rng, s.place, w, h)
    side = min(w, h)
    left, top = (w - side) / 2, (h - side) / 2
    for o in layout(rng, s):
        sprite = _sprite(pictures[o.kind], o.size * side, rng.uniform(-10, 10), rng.random() < 0.5)
        im.paste(sprite, (round(left + o.x * side - sprite.width / 2), round(top + o.y * side - sprite.height / 2)), sprite)
    return im


def _sprite(picture: Image.Image, size: float, angle: float, mirrored: bool) -> Image.Image:
    """The picture turned, then scaled so that its longest visible side is `size` pixels."""
    if mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if angle:
        picture = picture.rotate(angle, Image.Resampling.BICUBIC, expand=True)
        picture = picture.crop(picture.getchannel("A").point(lambda a: 255 if a > 8 else 0).getbbox())
    scale = size / max(picture.size)
    target = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(target, Image.Resampling.BICUBIC)


# ---------------------------------------------------------------------------------------------------------------------
# The fast way: pixels for training


@dataclass(frozen=True)
class Drawn:
    """A training picture with the dense labels of its patches (kind index, or len(KINDS) for background)."""

    pixels: np.ndarray  # uint8 [side, side, 3]
    patch_kind: np.ndarray  # int64 [grid, grid]
    patch_centre: np.ndarray  # bool [grid, grid]: the middle of an object lies in this patch


class SpriteSheet:
    """Everything drawn beforehand at the training resolution, so that a scene costs a fraction of a millisecond."""

    TURNS = 3
    VIEWS = 40

    def __init__(self, side: int, patch: int, seed: int):
        rng = np.random.default_rng((seed, 1))
        self.side, self.patch, self.grid = side, patch, side // patch
        self.sizes = np.arange(int(side * 0.22), int(side * 0.64) + 2, 3)
        self.sprites: list[list[list[np.ndarray]]] = []
        for picture in emoji_pictures():
            by_size = []
            for size in self.sizes:
                turns = [0.0, *rng.uniform(-10, 10, self.TURNS - 1)]
                # Premultiplied alpha: pasting is then one multiplication and one addition.
                by_size.append([_premultiplied(_sprite(picture, float(size), t, False)) for t in turns])
            self.sprites.append(by_size)
        # Drawn twice as large and half as large again as needed: smooth lines, and room for random crops.
        self.views = [
            [np.asarray(draw_background(rng, p, side * 5 // 2, side * 5 // 2).reduce(2)) for _ in range(self.VIEWS)]
            for p in range(len(PLACES))
        ]

    def draw(self, rng: np.random.Generator, s: Scene) -> Drawn:
        side, patch, grid = self.side, self.patch, self.grid
        view = self.views[s.place][int(rng.integers(self.VIEWS))]
        room = view.shape[0] - side
        y0, x0 = int(rng.integers(room + 1)), int(rng.integers(room + 1))
        view = view[y0 : y0 + side, x0 : x0 + side]
        if rng.random() < 0.5:
            view = view[:, ::-1]
        pixels = view * np.float32(rng.uniform(0.9, 1.08))
        kinds = np.full((grid, grid), len(KINDS), np.int64)
        most = np.full((grid, grid), 0.25, np.float32)
        centres = np.zeros((grid, grid), bool)
        for o in layout(rng, s):
            nearest = int(np.abs(self.sizes - o.size * side).argmin())
            sprite = self.sprites[o.kind][nearest][int(rng.integers(self.TURNS))]
            if rng.random() < 0.5:
                sprite = sprite[:, ::-1]
            h, w = sprite.shape[:2]
            y = int(np.clip(round(o.y * side - h / 2 + rng.uniform(-0.5, 0.5)), 0, side - h))
            x = int(np.clip(round(o.x * side - w / 2 + rng.uniform(-0.5, 0.5)), 0, side - w))
            alpha = sprite[..., 3:].astype(np.float32) * np.float32(1 / 255)
            target = pixels[y : y + h, x : x + w]
            target *= 1 - alpha
            target += sprite[..., :3] * np.float32(rng.uniform(0.93, 1.07))
            cover = np.zeros((side, side), np.float32)
            cover[y : y + h, x : x + w] = alpha[..., 0]
            share = cover.reshape(grid, patch, grid, patch).mean((1, 3))
            kinds[share > most] = o.kind
            np.maximum(most, share, out=most)
            centres[min(int(o.y * grid), grid - 1), min(int(o.x * grid), grid - 1)] = True
        if rng.random() < 0.25:  # JPEG and scaling soften real files
            soft = pixels.copy()
            soft[1:-1, 1:-1] = (
                pixels[1:-1, 1:-1] * 2 + pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]
            ) / 6
            pixels = soft
        np.clip(pixels, 0, 255, out=pixels)
        return Drawn(pixels.astype(np.uint8), kinds, centres)


def _premultiplied(sprite: Image.Image) -> np.ndarray:
    rgba = np.asarray(sprite).astype(np.float32)
    rgba[..., :3] *= rgba[..., 3:] / 255
    return rgba.round().astype(np.uint8)
