"""Makes photographs as large as a camera's from small ones, to measure indexing with.

    python large-photos.py PHOTOS OUT [--megapixels 12] [--count 100] [--grain 0] [--progressive]

Each picture of PHOTOS is enlarged to about that many megapixels, its aspect kept, and written as JPEG of quality 90 with
4:2:0 chroma, as cameras do. An enlarged picture has no fine detail, and its file is a third of a camera's: `--grain 6` adds
noise of that standard deviation to the brightness, which brings the size, and the time to read it, to a camera's.
One picture in eight is stored turned, with an EXIF orientation that turns it back. The same input gives the same files
(with the same Pillow and numpy).
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--grain", type=float, default=0)
    parser.add_argument("--progressive", action="store_true")
    args = parser.parse_args()

    small = sorted(p for p in args.photos.iterdir() if p.suffix.lower() in {".jpeg", ".jpg", ".png"})
    args.out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    for number in range(args.count):
        image = Image.open(small[number % len(small)]).convert("RGB")
        scale = (args.megapixels * 1e6 / (image.width * image.height)) ** 0.5
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
        if args.grain:
            noise = random.normal(0, args.grain, (image.height, image.width, 1)).astype(np.float32)
            image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
        exif = Image.Exif()
        if number % 8 == 7:
            orientation = (3, 6, 8)[number // 8 % 3]
            image = image.transpose(TURNS[orientation])
            exif[0x0112] = orientation
        options = {"quality": 90, "subsampling": "4:2:0", "progressive": args.progressive}
        image.save(args.out / f"{number:05}.jpg", exif=exif, **options)


if __name__ == "__main__":
    main()
