"""Chinese captions: the ways people write a prompt for a scene, together with what each of them claims."""

import numpy as np

from vocabulary import KINDS, NUMERALS, PLACES
from world import Claim, Scene

BARE_WRAPPERS = ["{}的照片", "{}的图片", "一张{}的照片", "一张{}的图片", "有{}的图片", "{}图片", "一幅{}的画", "可爱的{}"]
WRAPPERS = ["{}的照片", "{}的图片", "一张{}的照片", "一张{}的图片", "一张有{}的照片", "图片里有{}", "{}。", "照片：{}"]
AND = ["和", "与", "还有", "跟", "、"]
# {p}: a place as a noun, {a}: at the place, {o}: the objects.
WITH_PLACE = ["{a}的{o}", "{a}有{o}", "{o}在{a}", "在{a}的{o}", "{a}，{o}", "{o}，{a}", "{a}{o}"]


def pick(rng: np.random.Generator, choices):
    """One of the choices; a tenth of the cost of Generator.choice, which builds an array first."""
    return choices[int(rng.integers(len(choices)))]


def counted(rng: np.random.Generator | None, kind: int, count: int) -> str:
    """两只老虎. Without a generator: the usual measure word and the usual name."""
    k = KINDS[kind]
    if rng is None:
        return NUMERALS[count] + k.measures[0] + k.name
    number = str(count) if rng.random() < 0.1 else NUMERALS[count]
    measure = k.measures[0] if rng.random() < 0.75 else pick(rng, k.measures)
    return number + measure + name(rng, kind)


def name(rng: np.random.Generator, kind: int) -> str:
    k = KINDS[kind]
    return k.name if rng.random() < 0.7 else pick(rng, k.names)


def phrase(rng: np.random.Generator, claim: Claim) -> str:
    """One wording of a claim."""
    objects = list(claim.objects)
    rng.shuffle(objects)
    nouns = [name(rng, k) if n is None else counted(rng, k, n) for k, n in objects]
    text = pick(rng, AND).join(nouns)
    bare = all(n is None for _, n in claim.objects)
    if claim.place is not None:
        place = PLACES[claim.place]
        if not nouns:
            text = pick(rng, place.names if rng.random() < 0.7 else place.at)
        else:
            template = pick(rng, WITH_PLACE) if rng.random() < 0.6 else WITH_PLACE[0]
            text = template.format(a=pick(rng, place.at), o=text)
            bare = False
    if rng.random() < 0.25 and "，" not in text:
        text = pick(rng, BARE_WRAPPERS if bare else WRAPPERS).format(text)
    return text


def full_claim(s: Scene) -> Claim:
    return Claim(s.objects, s.place)


def random_claim(rng: np.random.Generator, s: Scene) -> Claim:
    """Something true about the scene, rather specific: mostly everything, sometimes without the place."""
    return Claim(s.objects, None if rng.random() < 0.35 else s.place)


def short_claim(rng: np.random.Generator, s: Scene) -> Claim:
    """Something true about the scene that leaves much open, as short prompts do."""
    what = rng.random()
    kind, count = s.objects[int(rng.integers(len(s.objects)))]
    if what < 0.25:
        return Claim(((kind, None),), None)
    if what < 0.58:
        return Claim(((kind, count),), None)
    if what < 0.75:
        return Claim(((kind, None),), s.place)
    if what < 0.85:
        return Claim(tuple((k, None) for k, _ in s.objects), s.place if rng.random() < 0.5 else None)
    if what < 0.92:
        return Claim(((kind, count),), s.place)
    return Claim((), s.place)


def natural(rng: np.random.Generator, s: Scene) -> str:
    """One well-formed caption of everything in the scene, for the collection: usual names, no wrappers."""
    objects = [counted(None, k, n) for k, n in s.objects]
    rng.shuffle(objects)
    at = PLACES[s.place].at
    template = pick(rng, ["{a}的{o}", "{o}在{a}", "{a}有{o}", "{a}的{o}"])
    return template.format(a=at[0] if rng.random() < 0.7 else pick(rng, at), o=pick(rng, ["和", "和", "与"]).join(objects))


def alphabet() -> str:
    """Every character a caption can contain."""
    parts = [n for k in KINDS for n in (*k.names, *k.measures)]
    parts += [n for p in PLACES for n in (*p.names, *p.at)]
    parts += [*NUMERALS.values(), *BARE_WRAPPERS, *WRAPPERS, *AND, *WITH_PLACE]
    # Words a user may well type though no caption has them; they stay near their random start, which is harmless.
    parts += ["二五六七八九十几个些只条张大小红黄蓝绿黑白色男女人水山花草树天地日月海里外前后中是不了我你他她它们这那图片照相"]
    return "".join(parts).replace("{", "").replace("}", "")
