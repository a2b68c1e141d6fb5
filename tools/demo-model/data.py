"""Training batches: scenes, their pictures and their captions, the same for a given seed and step."""

import queue
import threading
from dataclasses import dataclass

import numpy as np
import torch

import captions
from renderer import SpriteSheet
from vocabulary import KINDS
from world import Claim, Scene, hard_group, held_out

GROUP = 4
PARTLY_NAMED = 0.25  # the weight of a picture in which a caption leaves a kind unmentioned
UNCOUNTED = 9


@dataclass
class Batch:
    pixels: torch.Tensor  # uint8 [images, side, side, 3]
    patch_kind: torch.Tensor
    patch_centre: torch.Tensor
    scene_counts: torch.Tensor  # int [images, kinds]
    scene_place: torch.Tensor
    texts: list[str]
    claim_counts: torch.Tensor  # int [texts, kinds]
    claim_place: torch.Tensor
    fit: torch.Tensor  # float [texts, images]

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(**{n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in vars(self).items()})


def counts_of(objects_of_each: list[tuple[tuple[int, int | None], ...]]) -> np.ndarray:
    counts = np.zeros((len(objects_of_each), len(KINDS)), np.int64)
    for row, objects in enumerate(objects_of_each):
        for kind, count in objects:
            counts[row, kind] = UNCOUNTED if count is None else count
    return counts


def fit_matrix(claims: list[Claim], scenes: list[Scene]) -> np.ndarray:
    """How well each claim fits each scene: 1, PARTLY_NAMED or 0. The array twin of Claim.fits and Claim.names_all."""
    has = counts_of([s.objects for s in scenes])
    kinds_in_scene = (has > 0).sum(1)
    place = np.array([s.place for s in scenes])
    fit = np.zeros((len(claims), len(scenes)), np.float32)
    for row, claim in enumerate(claims):
        true = np.ones(len(scenes), bool) if claim.place is None else place == claim.place
        for kind, count in claim.objects:
            true &= has[:, kind] > 0 if count is None else has[:, kind] == count
        all_named = kinds_in_scene == len(claim.objects) if claim.objects else True
        fit[row] = true * np.where(all_named, 1.0, PARTLY_NAMED)
    return fit


def make_batch(sheet: SpriteSheet, seed: int, step: int, images: int, easy_steps: int) -> Batch:
    rng = np.random.default_rng((seed, 2, step))
    # Single objects first: the names are learnt before the numbers.
    easy = step < easy_steps
    scenes: list[Scene] = []
    while len(scenes) < images:
        scenes += hard_group(rng, GROUP, 2 if easy else 4, 0.2 if easy else 0.5)
    assert not any(held_out(s) for s in scenes), "a scene of the test side got into training"
    drawn = [sheet.draw(rng, s) for s in scenes]
    claims = [captions.random_claim(rng, s) for s in scenes]
    claims += [captions.short_claim(rng, s) for s in scenes[:: 2]]
    return Batch(
        pixels=torch.from_numpy(np.stack([d.pixels for d in drawn])),
        patch_kind=torch.from_numpy(np.stack([d.patch_kind for d in drawn])),
        patch_centre=torch.from_numpy(np.stack([d.patch_centre for d in drawn])),
        scene_counts=torch.from_numpy(counts_of([s.objects for s in scenes])),
        scene_place=torch.tensor([s.place for s in scenes]),
        texts=[captions.phrase(rng, c) for c in claims],
        claim_counts=torch.from_numpy(counts_of([c.objects for c in claims])),
        claim_place=torch.tensor([-1 if c.place is None else c.place for c in claims]),
        fit=torch.from_numpy(fit_matrix(claims, scenes)),
    )


class Batches:
    """Makes batches one step ahead, in a thread: drawing overlaps with the arithmetic of the step before."""

    def __init__(self, sheet: SpriteSheet, seed: int, first: int, last: int, sizes: list[tuple[int, int]], easy: int):
        """`sizes`: (first step, pictures a step), ascending; `easy`: how many steps keep to simple scenes."""
        self.ready: queue.Queue = queue.Queue(maxsize=3)

        def work():
            try:
                for step in range(first, last):
                    images = next(n for begin, n in reversed(sizes) if begin <= step)
                    self.ready.put(make_batch(sheet, seed, step, images, easy))
                self.ready.put(None)
            except BaseException as error:  # handed to the consumer, who would wait for ever otherwise
                self.ready.put(error)

        threading.Thread(target=work, daemon=True).start()

    def __iter__(self):
        while (batch := self.ready.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            yield batch
