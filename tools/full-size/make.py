"""Writes a model of the family at full size with random weights, in the layout of the published one. See README.md."""
import argparse
import json
import math
import shutil
from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    ChineseCLIPConfig,
    ChineseCLIPModel,
    CLIPConfig,
    CLIPModel,
)

VOCABULARY = Path(__file__).resolve().parents[2] / "crates/taiyi-model/tests/data/tiny/text/vocab.txt"
GAIN = 1.4  # of weight matrices: different inputs give clearly different outputs, also after 12 layers
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]


def bert(layers, width):
    return dict(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64, intermediate_size=4 * width
    )


def vit(layers, width, heads, patch, side=224, act="quick_gelu"):
    return dict(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        patch_size=patch,
        image_size=side,
        hidden_act=act,
    )


BASE, LARGE = bert(12, 768), bert(24, 1024)
B32, B16 = vit(12, 768, 12, 32), vit(12, 768, 12, 16)
L14, L14_336 = vit(24, 1024, 16, 14), vit(24, 1024, 16, 14, side=336)
H14, H14_ERF = vit(32, 1280, 16, 14), vit(32, 1280, 16, 14, act="gelu")

# Name: what makes the text's embedding, text tower, image tower, components.
SHAPES = {
    "taiyi-102m": ("classifier", BASE, B32, 512),
    "taiyi-326m": ("classifier", LARGE, L14, 768),
    "taiyi-102m-vit-l": ("pooler", BASE, L14, 768),
    "taiyi-326m-vit-h": ("pooler", LARGE, H14_ERF, 1024),
    "cn-clip-b16": ("projection", BASE, B16, 512),
    "cn-clip-l14": ("projection", BASE, L14, 768),
    "cn-clip-l14-336": ("projection", BASE, L14_336, 768),
    "cn-clip-h14": ("projection", LARGE, H14, 1024),
}


def scramble(model):
    """Draws every parameter, gains and biases included, so that any tensor read wrongly shows."""
    gains = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.LayerNorm)}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("logit_scale"):
                p.fill_(math.log(100))
            elif id(p) in gains:
                p.normal_(1.0, 0.15)
            elif "embedding" in name and "patch" not in name:
                p.normal_(0.0, 0.5)
            elif p.ndim == 1:
                p.normal_(0.0, 0.1)
            else:
                p.normal_(0.0, GAIN / math.sqrt(p[0].numel()))


def save(model, folder, dtype):
    model.eval().to(dtype).save_pretrained(folder)


def write_preprocessor(folder, **keys):
    config = dict(do_resize=True, resample=3, do_normalize=True, image_mean=MEAN, image_std=STD, **keys)
    (folder / "preprocessor_config.json").write_text(json.dumps(config, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32", help="of the files")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    feature, text, vision, dimension = SHAPES[args.shape]
    side, dtype = vision["image_size"], getattr(torch, args.dtype)
    vocabulary = VOCABULARY.read_bytes().count(b"\n")
    torch.manual_seed(args.seed)
    if feature == "projection":
        config = ChineseCLIPConfig(
            text_config=dict(text, vocab_size=vocabulary), vision_config=vision, projection_dim=dimension
        )
        model = ChineseCLIPModel(config)
        scramble(model)
        save(model, args.out, dtype)
        shutil.copy(VOCABULARY, args.out / "vocab.txt")
        # Chinese-CLIP's own way: the whole picture to the square, nothing cropped.
        write_preprocessor(args.out, size=dict(height=side, width=side), do_center_crop=False)
        return
    if feature == "classifier":
        model = BertForSequenceClassification(BertConfig(**text, vocab_size=vocabulary, num_labels=dimension))
    else:
        model = BertModel(BertConfig(**text, vocab_size=vocabulary))
    scramble(model)
    save(model, args.out / "text", dtype)
    shutil.copy(VOCABULARY, args.out / "text/vocab.txt")
    # The published file holds CLIP's English half, too, which nobody reads; a small one stands for it.
    english = dict(hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=64)
    english |= dict(vocab_size=512, bos_token_id=1, eos_token_id=2)
    image = CLIPModel(CLIPConfig(text_config=english, vision_config=vision, projection_dim=dimension))
    scramble(image)
    save(image, args.out / "image", dtype)
    write_preprocessor(args.out / "image", size=side, do_center_crop=True, crop_size=side)


if __name__ == "__main__":
    main()
