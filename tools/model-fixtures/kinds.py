"""The other kinds of checkpoint, as small as they get: Chinese-CLIP in one folder, and BertModel's pooler beside a
ViT with the exact GELU and patches of 14 pixels. See README.md."""
import json

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    ChineseCLIPConfig,
    ChineseCLIPModel,
    CLIPConfig,
    CLIPModel,
)

from common import (
    DATA,
    MEAN,
    STD,
    VOCABULARY,
    picture,
    pixel_values,
    prepare,
    prompts,
    report,
    round_to,
    safetensors,
    scramble,
    state,
    unit,
    write_config,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PICTURES = [("landscape", 640, 427), ("portrait", 300, 453), ("odd", 301, 299), ("small", 3, 5), ("strip", 3000, 3)]


def write_vocabulary(folder):
    """Of the Chinese BERT's entries those that the prompts need; ids are others, tokens the same."""
    tokenizer = BertTokenizer(str(VOCABULARY))
    used = {token for prompt in prompts() for token in tokenizer.tokenize(prompt)} - set(SPECIAL)
    entries = [line for line in VOCABULARY.read_text(encoding="utf-8").split("\n") if line in used]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(SPECIAL + entries) + "\n", encoding="utf-8")
    return len(SPECIAL) + len(entries)


def write_preprocessor(folder, **keys):
    config = dict(do_resize=True, resample=3, do_normalize=True, image_mean=MEAN, image_std=STD, **keys)
    (folder / "preprocessor_config.json").write_text(json.dumps(config, indent=1) + "\n")


def write_references(name, vocabulary, positions, row_step, embed_text, embed_image, prepared):
    lines = prompts()
    tokenizer = BertTokenizer.from_pretrained(str(vocabulary))
    ids = [tokenizer(line, truncation=True, max_length=positions)["input_ids"] for line in lines]
    arrays = {}
    with torch.inference_mode():
        texts = [unit(embed_text(torch.tensor([row])))[0] for row in ids]
        embeddings = []
        for picture_name, columns, rows in PICTURES:
            pixels = prepared(picture(columns, rows))
            arrays[f"prepared.{picture_name}"] = np.ascontiguousarray(pixels[::row_step])
            embeddings.append(unit(embed_image(pixel_values(pixels)))[0])
    arrays |= {"text_embeddings": np.stack(texts), "image_embeddings": np.stack(embeddings)}
    save_file(arrays, DATA / f"{name}.reference.safetensors")
    references = {"prompts": lines, "token_ids": ids, "pictures": PICTURES, "row_step": row_step}
    text = json.dumps(references, ensure_ascii=False) + "\n"
    (DATA / f"{name}.reference.json").write_text(text, encoding="utf-8")
    report(f"texts of {name}", texts)
    report(f"pictures of {name}", embeddings)


def chinese_clip():
    """One repository; pictures of 336 pixels, squeezed to the square; f16 safetensors."""
    name, side, positions = "tiny-cn-clip", 336, 128
    folder = DATA / name
    text = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    vision = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    config = ChineseCLIPConfig(
        text_config=dict(text, vocab_size=write_vocabulary(folder), max_position_embeddings=positions),
        vision_config=dict(vision, patch_size=14, image_size=side),
        projection_dim=24,
        architectures=["ChineseCLIPModel"],
    )
    model = ChineseCLIPModel(config).eval()
    scramble(model, torch.Generator().manual_seed(336))
    round_to(model, torch.float16)
    write_config(model, folder / "config.json")
    # As published: what proportions a picture has is not kept, and nothing is cropped.
    write_preprocessor(folder, size=dict(height=side, width=side), do_center_crop=False)
    safetensors(folder / "model.safetensors", state(model, torch.float16))
    write_references(
        name,
        folder,
        positions,
        64,
        lambda ids: model.get_text_features(input_ids=ids).pooler_output,
        lambda values: model.get_image_features(pixel_values=values).pooler_output,
        lambda pixels: prepare(pixels, side, squeeze=True),
    )


def pooler():
    """Two repositories: BertModel as an f16 pickle, CLIP with the exact GELU as bf16 safetensors."""
    name, side, positions, width = "tiny-pooler", 224, 64, 48
    folder = DATA / name
    text = BertModel(
        BertConfig(
            vocab_size=write_vocabulary(folder / "text"),
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=6,
            intermediate_size=64,
            max_position_embeddings=positions,
            architectures=["BertModel"],
        )
    ).eval()
    english = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=64)
    vision = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    image = CLIPModel(
        CLIPConfig(
            text_config=dict(english, bos_token_id=1, eos_token_id=2),
            vision_config=dict(vision, patch_size=14, image_size=side, hidden_act="gelu"),
            projection_dim=width,
            architectures=["CLIPModel"],
        )
    ).eval()
    generator = torch.Generator().manual_seed(14)
    scramble(text, generator)
    scramble(image, generator)
    round_to(text, torch.float16)
    round_to(image, torch.bfloat16)
    write_config(text, folder / "text/config.json")
    write_config(image, folder / "image/config.json")
    write_preprocessor(folder / "image", size=side, do_center_crop=True, crop_size=side)
    old = state(text, torch.float16)
    old["embeddings.position_ids"] = torch.arange(positions).expand(1, -1).clone()
    torch.save(old, folder / "text/pytorch_model.bin")
    safetensors(folder / "image/model.safetensors", state(image, torch.bfloat16))
    write_references(
        name,
        folder / "text",
        positions,
        64,
        lambda ids: text(input_ids=ids).pooler_output,
        lambda values: image.visual_projection(image.vision_model(pixel_values=values).pooler_output),
        lambda pixels: prepare(pixels, side),
    )


def write():
    chinese_clip()
    pooler()
