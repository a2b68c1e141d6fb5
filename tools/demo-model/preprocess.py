"""A picture file to pixels, as taiyi-search does it: upright RGB, then openai/CLIP's preprocessing by Pillow.

transformers' CLIPImageProcessor differs in one thing: where half of what the crop cuts off is no whole number, it rounds
down, and openai/CLIP, through torchvision's CenterCrop, to even. So where 3, 7, 11 … pixels are cut off, its crop lies one pixel
further up or left, which changes an embedding a little.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from model import IMAGE_SIDE, MEAN, STD

# What transformers' CLIPImageProcessor reads; written beside the image tower.
CONFIG = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": IMAGE_SIDE},
    "resample": 3,  # bicubic
    "do_center_crop": True,
    "crop_size": {"height": IMAGE_SIDE, "width": IMAGE_SIDE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": list(MEAN),
    "image_std": list(STD),
    "do_convert_rgb": True,
}


def load(path: Path) -> np.ndarray:
    """float32 [3, IMAGE_SIDE, IMAGE_SIDE]."""
    with Image.open(path) as opened:
        im = ImageOps.exif_transpose(opened).convert("RGB")
    short = min(im.size)
    size = tuple(IMAGE_SIDE * n // short for n in im.size)
    im = im.resize(size, Image.Resampling.BICUBIC)
    left, top = (round((n - IMAGE_SIDE) / 2) for n in size)  # Python rounds half to even, as torchvision does
    im = im.crop((left, top, left + IMAGE_SIDE, top + IMAGE_SIDE))
    x = np.asarray(im, np.float32) / 255
    return ((x - np.array(MEAN, np.float32)) / np.array(STD, np.float32)).transpose(2, 0, 1)
