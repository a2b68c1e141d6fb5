"""Makes the held-out picture collection: photos/, captions.tsv, queries.tsv.

Every scene is one that training left out (`world.held_out`); this is asserted, not assumed. A caption fits exactly one
picture; a query lists all pictures it fits.
"""

import datetime
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import captions
from renderer import draw_scene, emoji_pictures
from vocabulary import KIND_INDEX, KINDS, MAX_COUNT, NUMERALS, PLACES
from world import Claim, Scene, held_out, random_objects, scene

PICTURES = 300
# Kinds that get a row of pictures each, alone and in different numbers, so that numbers can be asked for.
FEATURED = (
    "老虎 熊猫 企鹅 猫 狗 大象 兔子 猴子 青蛙 蝴蝶 汽车 自行车 飞机 火车 帆船 苹果 香蕉 草莓 西瓜 汉堡 冰淇淋 "
    "气球 雨伞 足球 玫瑰 松树 房子 吉他 手机 钥匙 闹钟 书"
).split()
# What the documentation and `demo` ask for; the collection must have an answer.
FEATURED_PROMPTS = [("老虎", 2, None), ("汽车", 3, None), ("苹果", 1, None), ("企鹅", None, "雪地")]
# Sizes of common cameras and screens, scaled down: wide, upright, square, panorama.
SHAPES = [(4, 3), (3, 2), (16, 9), (1, 1), (3, 4), (2, 3), (9, 16), (2, 1)]


@dataclass(frozen=True)
class Picture:
    path: str
    scene: Scene
    caption: str


def places_held_out(objects: dict[int, int]) -> list[Scene]:
    return [s for p in range(len(PLACES)) if held_out(s := scene(objects, p))]


def choose_scenes(rng: np.random.Generator) -> list[Scene]:
    """About PICTURES held-out scenes in which every kind occurs and the featured ones in several numbers."""
    chosen: dict[Scene, None] = {}
    for name, count, place in FEATURED_PROMPTS:
        options = [
            s
            for n in ([count] if count else range(1, MAX_COUNT + 1))
            for s in places_held_out({KIND_INDEX[name]: n})
            if place in (None, PLACES[s.place].key)
        ]
        assert options, f"no held-out scene for {name} {count} {place}: choose another world.SALT"
        chosen[captions.pick(rng, options)] = None
    for name in FEATURED:
        for count in range(1, MAX_COUNT + 1):
            if options := places_held_out({KIND_INDEX[name]: count}):
                chosen[captions.pick(rng, options)] = None

    def fits_one_only(candidate: Scene) -> bool:
        # Captions say everything, but the picture of another scene may contain that and more.
        return not any(
            captions.full_claim(candidate).fits(s) or captions.full_claim(s).fits(candidate) for s in chosen
        )

    while len(chosen) < PICTURES:
        seen = {k for s in chosen for k, _ in s.objects}
        missing = [k for k in range(len(KINDS)) if k not in seen]
        pairs = [s for s in chosen if len(s.objects) == 2]
        if pairs and not missing and rng.random() < 0.6:  # a near miss: other numbers of two kinds already together
            kinds = [k for k, _ in captions.pick(rng, pairs).objects]
        else:
            kinds = list(random_objects(rng, 2))
            if missing:
                kinds[0] = captions.pick(rng, missing)
        objects = dict(zip(kinds, random_objects(rng, 2).values()))
        if len(objects) == 2 and (options := [s for s in places_held_out(objects) if fits_one_only(s)]):
            chosen[captions.pick(rng, options)] = None
    return list(chosen)


def file_name(rng: np.random.Generator, number: int, s: Scene) -> str:
    """Album and name without the ending. Some names tell what is in the picture, as people's do; most do not."""
    album = KINDS[s.objects[0][0]].category
    what = rng.random()
    if what < 0.3:
        return f"{album}/{PLACES[s.place].key}_{'和'.join(KINDS[k].name for k, _ in s.objects)}_{number:03}"
    if what < 0.6:
        return f"{album}/照片 {number:03}"
    if what < 0.8:
        return f"{album}/{PLACES[s.place].key}相册/图片（{number:03}）"
    return f"{album}/IMG_{number:04}"


def save(rng: np.random.Generator, im: Image.Image, path: Path) -> Path:
    """Writes the picture in one of the three formats; some JPEGs carry a date, some are stored turned."""
    what = rng.random()
    if what < 0.12:
        path = path.with_name(path.name + ".png")
        # Adaptive palettes would dither; plain RGB is what the reference embeddings are made from.
        im.save(path, optimize=True)
    elif what < 0.5:
        path = path.with_name(path.name + ".webp")
        im.save(path, quality=int(rng.integers(75, 90)), method=6)
    else:
        path = path.with_name(path.name + (".jpg" if rng.random() < 0.9 else ".JPG"))
        exif = Image.Exif()
        if rng.random() < 0.6:
            taken = datetime.datetime(2019, 1, 1) + datetime.timedelta(minutes=int(rng.integers(6 * 365 * 24 * 60)))
            exif.get_ifd(0x8769)[0x9003] = taken.strftime("%Y:%m:%d %H:%M:%S")  # DateTimeOriginal
            exif[0x0110] = "Demo Camera"
            if rng.random() < 0.1:  # held sideways: a reader that ignores this sees the scene lying down
                exif[0x0112] = 6
                im = im.transpose(Image.Transpose.ROTATE_90)
        im.save(path, quality=int(rng.integers(72, 90)), optimize=True, exif=exif)
    return path


def make_queries(pictures: list[Picture]) -> list[tuple[str, str, list[str]]]:
    """(grade, prompt, fitting pictures). A prompt is asked only if something fits and something nearly fits."""
    queries = []

    def add(grade: str, prompt: str, claim: Claim, least: int = 1) -> None:
        fitting = [p.path for p in pictures if claim.fits(p.scene)]
        if len(fitting) >= least:
            queries.append((grade, prompt, fitting))

    for name in FEATURED:
        kind = KIND_INDEX[name]
        for count in range(1, MAX_COUNT + 1):
            alone = any(p.scene.objects == ((kind, count),) for p in pictures)
            if alone and (count > 1 or name == "苹果"):
                add("counted", captions.counted(None, kind, count), Claim(((kind, count),), None))
    for name in FEATURED:
        add("bare", name, Claim(((KIND_INDEX[name], None),), None), least=3)
    for place in range(len(PLACES)):
        add("place", PLACES[place].names[0], Claim((), place), least=3)
    for name in FEATURED:
        kind = KIND_INDEX[name]
        for p in sorted({p.scene.place for p in pictures if p.scene.count(kind)}):
            if (kind + p) % 3 == 0 or (name, PLACES[p].key) == ("企鹅", "雪地"):
                add("kind-at-place", f"{PLACES[p].at[0]}的{name}", Claim(((kind, None),), p))
    return queries


def make(out: Path, seed: int) -> None:
    rng = np.random.default_rng((seed, 3))
    sprites = emoji_pictures()
    shutil.rmtree(out / "photos", ignore_errors=True)
    pictures: list[Picture] = []
    for number, s in enumerate(choose_scenes(rng), 1):
        assert held_out(s), "a training scene got into the collection"
        a, b = captions.pick(rng, SHAPES)
        short = int(rng.integers(224, 400))
        w, h = short * a // min(a, b), short * b // min(a, b)
        im = draw_scene(rng, s, w, h, sprites)
        path = out / "photos" / file_name(rng, number, s)
        path.parent.mkdir(parents=True, exist_ok=True)
        path = save(rng, im, path)
        pictures.append(Picture(path.relative_to(out / "photos").as_posix(), s, captions.natural(rng, s)))
    for p in pictures:
        fitting = [q.path for q in pictures if captions.full_claim(p.scene).fits(q.scene)]
        assert fitting == [p.path], f"{p.caption} fits {fitting}"
    pictures.sort(key=lambda p: p.path)
    (out / "captions.tsv").write_text("".join(f"{p.path}\t{p.caption}\n" for p in pictures), encoding="utf-8")
    lines = [f"{grade}\t{prompt}\t{'|'.join(fitting)}\n" for grade, prompt, fitting in make_queries(pictures)]
    (out / "queries.tsv").write_text("".join(lines), encoding="utf-8")
    size = sum(f.stat().st_size for f in (out / "photos").rglob("*") if f.is_file())
    print(f"{len(pictures)} pictures of {size / 1e6:.1f} MB, {len(lines)} queries in {out}")
