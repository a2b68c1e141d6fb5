"""Writes what transformers and Pillow make of a model of make.py: golden.npz and golden.json, which ../parity.py
compares with. See README.md."""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import BertForSequenceClassification, BertModel, BertTokenizer, ChineseCLIPModel, CLIPModel

PROMPTS = Path(__file__).resolve().parents[2] / "crates/taiyi-model/tests/data/prompts.txt"
FIVE = ["一只猫", "一只狗", "两只猫", "两只老虎", "一只老虎"]
PICTURES = (".jpg", ".jpeg", ".png")


def load(folder):
    """The vocabulary's folder, ids to features, pixel values to features, the scale, the preprocessor's folder."""
    if (folder / "config.json").exists():
        model = ChineseCLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        print(f"image tower's activation: {model.config.vision_config.hidden_act}")
        text = lambda ids: model.get_text_features(input_ids=ids).pooler_output
        image = lambda values: model.get_image_features(pixel_values=values).pooler_output
        return folder, text, image, model.logit_scale, folder
    clip = CLIPModel.from_pretrained(folder / "image", dtype=torch.float32).eval()
    print(f"image tower's activation: {clip.config.vision_config.hidden_act}")
    image = lambda values: clip.visual_projection(clip.vision_model(pixel_values=values).pooler_output)
    kind = json.loads((folder / "text/config.json").read_text())["architectures"][0]
    if kind == "BertModel":
        bert = BertModel.from_pretrained(folder / "text", dtype=torch.float32).eval()
        text = lambda ids: bert(input_ids=ids).pooler_output
    else:
        bert = BertForSequenceClassification.from_pretrained(folder / "text", dtype=torch.float32).eval()
        text = lambda ids: bert(input_ids=ids).logits
    return folder / "text", text, image, clip.logit_scale, folder / "image"


def prepare(image, size, crop):
    """f32 `[side, side, 3]` in [0, 1]: the short side scaled and the centre cropped, or the whole to the square."""
    image = image.convert("RGB")
    if isinstance(size, dict):
        # Across, then down, whatever Pillow's version; see ../model-fixtures/common.py.
        side = size["width"]
        image = image.resize((side, image.height), Image.Resampling.BICUBIC)
        image = image.resize((side, size["height"]), Image.Resampling.BICUBIC)
    else:
        short = min(image.size)
        image = image.resize(tuple(size * length // short for length in image.size), Image.Resampling.BICUBIC)
        left, top = (round((length - crop) / 2) for length in image.size)
        image = image.crop((left, top, left + crop, top + crop))
    return np.asarray(image, np.float32) / np.float32(255)


def unit(vectors):
    return (vectors / vectors.norm(dim=-1, keepdim=True)).numpy().astype(np.float32)


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return (powers / powers.sum()).round(6).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--photos", required=True, type=Path)
    parser.add_argument("--pngs", type=Path, help="first copy COUNT of PHOTOS here as PNG, and take these")
    parser.add_argument("--count", type=int, default=24)
    args = parser.parse_args()
    files = sorted(file for file in args.photos.iterdir() if file.suffix.lower() in PICTURES)
    if args.pngs:
        args.pngs.mkdir(parents=True, exist_ok=True)
        targets = []
        for file in files[: args.count]:
            targets.append(args.pngs / f"{file.stem}.png")
            Image.open(file).convert("RGB").save(targets[-1])
        files = sorted(targets)
    texts = [line for line in PROMPTS.read_text(encoding="utf-8").split("\n") if line.strip()]

    vocabulary, embed_text, embed_image, logit_scale, image_folder = load(args.model)
    preprocessor = json.loads((image_folder / "preprocessor_config.json").read_text())
    mean, std = (np.array(preprocessor[key], np.float32) for key in ("image_mean", "image_std"))
    tokenizer = BertTokenizer.from_pretrained(str(vocabulary))

    def text(line):
        ids = tokenizer(line, truncation=True, max_length=512)["input_ids"]
        return ids, unit(embed_text(torch.tensor([ids])))[0]

    def image(file):
        pixels = prepare(Image.open(file), preprocessor["size"], preprocessor.get("crop_size"))
        values = np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1))
        return unit(embed_image(torch.from_numpy(values)[None]))[0]

    with torch.inference_mode():
        ids, text_rows = zip(*map(text, texts), strict=True)
        five = np.stack([text(line)[1] for line in FIVE])
        image_rows = np.stack([image(file) for file in files])
        scale = float(logit_scale.exp())
    padded = np.zeros((len(ids), max(map(len, ids))), np.int64)
    for row, line in zip(padded, ids, strict=True):
        row[: len(line)] = line
    np.savez(args.model / "golden.npz", text_ids=padded, text_embeds=np.stack(text_rows), image_embeds=image_rows)
    # The picture of the five prompts' table: the first that is decoded without loss.
    first = next((row for file, row in zip(files, image_rows, strict=True) if file.suffix.lower() == ".png"), image_rows[0])
    golden = {
        "texts": texts,
        "images": [file.name for file in files],
        "logit_scale": scale,
        "quick_start": {"texts": FIVE, "probs": softmax(scale * five @ first)},
    }
    (args.model / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"{len(texts)} texts, {len(files)} pictures")


if __name__ == "__main__":
    main()
