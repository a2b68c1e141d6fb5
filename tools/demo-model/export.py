"""Writes the trained towers as transformers would publish them: two folders, f16 safetensors, own vocab.txt."""

import json
import shutil
from pathlib import Path

import torch

from model import Towers, published_image_tower
from preprocess import CONFIG
from tokens import make_tokenizer


def export(checkpoint: Path, out: Path, which: str = "average") -> None:
    """`which`: "average" is the running average of the weights, "towers" the last ones."""
    saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
    shutil.rmtree(out, ignore_errors=True)
    text, image = out / "text", out / "image"
    text.mkdir(parents=True)
    image.mkdir()
    towers = Towers(len(make_tokenizer(text)))
    towers.load_state_dict(saved[which])
    towers.text.half().save_pretrained(text)
    published_image_tower(towers.image).half().save_pretrained(image)
    for weights in out.glob("*/model.safetensors"):
        weights.chmod(0o644)  # safetensors writes them readable for the owner only
    (image / "preprocessor_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    print(f"step {saved['step']} after {saved['seconds'] / 60:.0f} min exported to {out}")
