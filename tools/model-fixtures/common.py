"""What all fixtures have in common: random weights, drawn pictures, and their preprocessing. See README.md."""
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file as save_torch_file

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "crates/taiyi-model/tests/data"
VOCABULARY = DATA / "tiny/text/vocab.txt"
GAIN = 2.5  # of weight matrices: far from the identity, and far from saturation
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]


def scramble(model, generator):
    """Draws every parameter anew, so strongly that any tensor read wrongly shows in the output."""
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            noise = torch.randn(parameter.shape, generator=generator)
            if isinstance(module, torch.nn.LayerNorm):
                value = noise * 0.15 + 1.0 if name == "weight" else noise * 0.1
            elif isinstance(module, torch.nn.Embedding) or name == "class_embedding":
                value = noise * 0.5
            elif name == "bias":
                value = noise * 0.1
            elif parameter.ndim >= 2:
                value = noise * GAIN / parameter[0].numel() ** 0.5
            else:
                value = noise
            parameter.data.copy_(value)


def round_to(model, dtype):
    """Leaves only values that `dtype` holds, so that a file of that type is the same model."""
    for parameter in model.parameters():
        parameter.data.copy_(parameter.data.to(dtype).float())


def write_config(model, path):
    config = json.loads(model.config.to_json_string(use_diff=False))
    # As published: the number of labels is told by their names, or by the classifier's shape.
    config.pop("num_labels", None)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def state(model, dtype):
    """The tensors of floats as `dtype`, without buffers."""
    return {name: value.to(dtype).contiguous() for name, value in model.state_dict().items() if value.is_floating_point()}


def safetensors(path, tensors):
    save_torch_file(tensors, path, metadata={"format": "pt"})


def picture(columns, rows):
    """Ramps, hard edges and noise, in integers alone: tests/support draws the same ones instead of storing them."""
    x, y, c = np.meshgrid(np.arange(columns), np.arange(rows), np.arange(3), indexing="xy")
    x, y, c = (axis.transpose(0, 1, 2).astype(np.uint64) for axis in (x, y, c))
    ramps = np.abs(((x * (3 + 2 * c) + y * (5 - c)) // 2 % 511).astype(np.int64) - 255)
    checks = np.where((x // 5 + y // 7 + c) % 2 == 0, 230, 20)
    noise = (x * 73_856_093 + y * 19_349_663 + c * 83_492_791) * 2_654_435_761 % 2**32 // 2**24
    pixels = np.where(y * 5 > rows * 3, checks, ramps)
    return np.where((x * 3 < columns) & (y * 3 < rows), noise, pixels).astype(np.uint8)


def prepare(pixels, side, squeeze=False):
    """u8 `[side, side, 3]` by Pillow: resize of the short side and centre crop as openai/CLIP does it, or the
    whole picture to the square as Chinese-CLIP does it."""
    image = Image.fromarray(pixels)
    columns, rows = image.size
    if squeeze:
        # Across, then down: the order of every Pillow before 13, which the models were trained on. 13 turns it
        # round for some proportions, and single pixels are rounded to their neighbours.
        across = image.resize((side, rows), Image.Resampling.BICUBIC)
        return np.asarray(across.resize((side, side), Image.Resampling.BICUBIC))
    short = min(columns, rows)
    size = (side * columns // short, side * rows // short)
    left, top = (round((length - side) / 2) for length in size)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + side, top + side)))


def pixel_values(prepared):
    """f32 `[1, 3, side, side]` as an image tower takes them."""
    values = (prepared.astype(np.float32) / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]


def unit(vectors):
    return (vectors / vectors.norm(dim=-1, keepdim=True)).numpy().astype(np.float32)


def prompts():
    lines = (DATA / "prompts.txt").read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line.strip()]


def report(what, rows):
    rows = np.stack(rows)
    cosines = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
    print(f"{len(rows)} {what}: cosine between different ones {cosines.mean():.3f}, at most {cosines.max():.3f}")
