"""The world: what a scene contains, which scenes are held out, and when a caption fits a scene.

A scene here is only its meaning: objects with their numbers, and a place. `renderer.py` draws it, `captions.py`
talks about it.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from vocabulary import KINDS, MAX_COUNT, PLACES

# One combination in HELD_OUT_OF is never trained on; the collection is drawn from those only. The salt is the first for
# which the prompts of the documentation (两只老虎, 雪地里的企鹅 …) have a held-out scene; see collection.FEATURED_PROMPTS.
HELD_OUT_OF = 8
SALT = "taiyi-demo-46"


@dataclass(frozen=True)
class Scene:
    """What is in a picture: ((kind, count), …) in ascending order of kind, and the place."""

    objects: tuple[tuple[int, int], ...]
    place: int

    @property
    def total(self) -> int:
        return sum(count for _, count in self.objects)

    def count(self, kind: int) -> int:
        return dict(self.objects).get(kind, 0)


def scene(objects: dict[int, int], place: int) -> Scene:
    assert 1 <= len(objects) <= 2 and 1 <= sum(objects.values()) <= MAX_COUNT
    return Scene(tuple(sorted(objects.items())), place)


def held_out(s: Scene) -> bool:
    """Whether the combination (kinds, counts, place) belongs to the test side. By name, so the table may be reordered."""
    names = sorted(f"{KINDS[kind].name}={count}" for kind, count in s.objects)
    text = "|".join([SALT, PLACES[s.place].key, *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % HELD_OUT_OF == 0


@dataclass(frozen=True)
class Claim:
    """What a caption says. A count of None is a bare noun; a place of None leaves the place open."""

    objects: tuple[tuple[int, int | None], ...]
    place: int | None

    def fits(self, s: Scene) -> bool:
        """True if everything said is so; the scene may hold more than was said."""
        if self.place is not None and self.place != s.place:
            return False
        return all(s.count(k) > 0 if n is None else s.count(k) == n for k, n in self.objects)

    def names_all(self, s: Scene) -> bool:
        """True if the caption mentions every kind in the scene (or is only about the place)."""
        return not self.objects or len(self.objects) == len(s.objects)


def random_objects(rng: np.random.Generator, kinds: int) -> dict[int, int]:
    chosen = rng.choice(len(KINDS), size=kinds, replace=False)
    if kinds == 1:
        return {int(chosen[0]): int(rng.integers(1, MAX_COUNT + 1))}
    first = int(rng.integers(1, MAX_COUNT))
    second = int(rng.integers(1, MAX_COUNT - first + 1))
    return {int(chosen[0]): first, int(chosen[1]): second}


def _variant(rng: np.random.Generator, s: Scene) -> Scene:
    """A scene that differs from `s` in one respect only: a number, a kind or the place."""
    objects, what = dict(s.objects), rng.random()
    kind = list(objects)[int(rng.integers(len(objects)))]
    if what < 0.5:
        others = s.total - objects[kind]
        choices = [n for n in range(1, MAX_COUNT - others + 1) if n != objects[kind]]
        if choices:
            objects[kind] = int(rng.choice(choices))
            return scene(objects, s.place)
    if what < 0.75:
        new = int(rng.integers(len(KINDS)))
        if new not in objects:
            objects[new] = objects.pop(kind)
            return scene(objects, s.place)
    return scene(objects, (s.place + int(rng.integers(1, len(PLACES)))) % len(PLACES))


def hard_group(rng: np.random.Generator, size: int, most_objects: int, share_of_pairs: float) -> list[Scene]:
    """Scenes for one training batch that are easily mistaken for one another, none of them held out."""
    while True:
        objects = random_objects(rng, 2 if rng.random() < share_of_pairs else 1)
        base = scene(objects, int(rng.integers(len(PLACES))))
        if base.total > most_objects:
            continue
        group, tries = {base: None}, 0
        while len(group) < size and tries < 40:
            tries += 1
            other = _variant(rng, base if rng.random() < 0.7 else list(group)[-1])
            if other.total <= most_objects and not held_out(other):
                group[other] = None
        if not held_out(base) and len(group) == size:
            return list(group)
