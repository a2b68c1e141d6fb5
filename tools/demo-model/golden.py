"""Writes what transformers makes of the exported model to index-data/golden.json, for the tests of the program.

`make.py` calls it; alone it renews the numbers of what is committed.

Every caption, and every picture that is a PNG: decoders agree on those to the last bit. Components are integers,
ten thousandths; that is a cosine of 1 up to about 1e-6. The towers and the tokenizer are transformers' own; the pixels
are those of `preprocess.py`, which see.
"""

import argparse
import json
from pathlib import Path

from evaluate import DATA, embed_files, embed_texts

SCALE = 10_000


def rows(keys: list[str], embeddings) -> list[str]:
    vectors = (embeddings * SCALE).round().int().tolist()
    return [
        json.dumps(key, ensure_ascii=False) + ": " + json.dumps(vector, separators=(",", ":"))
        for key, vector in zip(keys, vectors)
    ]


def write(data: Path) -> None:
    lines = (data / "captions.tsv").read_text(encoding="utf-8").splitlines()
    captions = sorted({line.split("\t")[1] for line in lines})
    photos = data / "photos"
    pictures = sorted(p.relative_to(photos).as_posix() for p in photos.rglob("*") if p.suffix.lower() == ".png")
    texts = rows(captions, embed_texts(data / "model", captions))
    images = rows(pictures, embed_files(data / "model", [photos / p for p in pictures]))
    # A line a vector, so that a change can be looked at.
    written = "{" + f'"scale": {SCALE},\n"texts": {{\n' + ",\n".join(texts) + '\n},\n"pictures": {\n'
    (data / "golden.json").write_text(written + ",\n".join(images) + "\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with model/, photos/ and captions.tsv")
    write(parser.parse_args().data)
