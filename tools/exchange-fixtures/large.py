"""Writes a collection as clip-retrieval does, of any size, to measure `import` with: clustered unit vectors in f16 and
one row group a file, up to a million rows each. Drawn from nothing, always the same.

    python -m pip install -r tools/exchange-fixtures/requirements.txt
    python tools/exchange-fixtures/large.py collection --rows 1000000
    taiyi-search import collection --model DIR --index another      # a model of as many dimensions
"""
import argparse
from pathlib import Path

import numpy as np
import pandas as pd

CHUNK_ROWS = 10_000


class Vectors:
    """Directions around the centres of clusters, as the pictures of a few thousand things have."""

    def __init__(self, dimension, clusters, spread, seed):
        self.random = np.random.default_rng(seed)
        self.spread = np.float32(spread / np.sqrt(dimension))
        self.centres = self.unit(self.random.standard_normal((clusters, dimension), dtype=np.float32))

    @staticmethod
    def unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def next(self, count):
        centres = self.centres[self.random.integers(len(self.centres), size=count)]
        noise = self.random.standard_normal(centres.shape, dtype=np.float32)
        return self.unit(centres + self.spread * noise).astype("<f2")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--part-rows", type=int, default=1_000_000, help="rows of a file")
    parser.add_argument("--clusters", type=int, default=2_000)
    parser.add_argument("--spread", type=float, default=0.8, help="of a cluster, beside the length 1 of its centre")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    for name in ["img_emb", "metadata"]:
        (args.folder / name).mkdir(parents=True)
    vectors = Vectors(args.dimension, args.clusters, args.spread, args.seed)
    for number, start in enumerate(range(0, args.rows, args.part_rows)):
        rows = min(args.part_rows, args.rows - start)
        array = np.lib.format.open_memmap(
            args.folder / f"img_emb/img_emb_{number:04}.npy", "w+", dtype="<f2", shape=(rows, args.dimension)
        )
        for at in range(0, rows, CHUNK_ROWS):
            count = min(CHUNK_ROWS, rows - at)
            array[at : at + count] = vectors.next(count)
        array.flush()
        ids = np.arange(start, start + rows)
        paths = [f"/photos/{i // 1000:05}/{i % 1000:03}.jpg" for i in ids]
        # A tall or a wide picture, as it comes.
        wide = ids % 3 > 0
        frame = pd.DataFrame({
            "image_path": paths,
            "caption": [f"picture {i}" for i in ids],
            "width": np.where(wide, 4000, 3000),
            "height": np.where(wide, 3000, 4000),
        })
        frame.to_parquet(args.folder / f"metadata/metadata_{number:04}.parquet")


main()
