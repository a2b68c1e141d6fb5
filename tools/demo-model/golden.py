"""Writes what transformers makes of the exported model to index-data/golden.json, for the tests of the program.

Run it from the root of the repository after every export: python tools/demo-model/golden.py

Every caption, and every picture that is a PNG: decoders agree on those to the last bit. Components are integers,
ten thousandths; that is a cosine of 1 up to about 1e-6.
"""

import json
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS))

from evaluate import embed_files, embed_texts  # noqa: E402

DATA = TOOLS.parent.parent / "index-data"
SCALE = 10_000


def rows(keys: list[str], embeddings) -> list[str]:
    vectors = (embeddings * SCALE).round().int().tolist()
    return [
        json.dumps(key, ensure_ascii=False) + ": " + json.dumps(vector, separators=(",", ":"))
        for key, vector in zip(keys, vectors)
    ]


def main() -> None:
    lines = (DATA / "captions.tsv").read_text(encoding="utf-8").splitlines()
    captions = sorted({line.split("\t")[1] for line in lines})
    photos = DATA / "photos"
    pictures = sorted(p.relative_to(photos).as_posix() for p in photos.rglob("*") if p.suffix.lower() == ".png")
    texts = rows(captions, embed_texts(DATA / "model", captions))
    images = rows(pictures, embed_files(DATA / "model", [photos / p for p in pictures]))
    # A line a vector, so that a change can be looked at.
    written = "{" + f'"scale": {SCALE},\n"texts": {{\n' + ",\n".join(texts) + '\n},\n"pictures": {\n'
    (DATA / "golden.json").write_text(written + ",\n".join(images) + "\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
