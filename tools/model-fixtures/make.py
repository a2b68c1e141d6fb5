"""Makes the tiny models and the reference numbers under crates/taiyi-model/tests/data. See README.md."""
import argparse
import json
import shutil

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    CLIPConfig,
    CLIPModel,
)

import kinds
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

SEED = 20_221_123
DIMENSION = 64
SIDE = 224

# Name, columns, rows: upright and lying, the tower's own size, odd sides, a crop between two pixels, a pixel,
# and strips whose resized form would be enormous.
PICTURES = [
    ("landscape", 640, 427),
    ("portrait", 300, 453),
    ("same-size", 224, 224),
    ("odd", 301, 299),
    ("half-pixel-crop-down", 225, 224),
    ("half-pixel-crop-up", 227, 224),
    ("small", 3, 5),
    ("pixel", 1, 1),
    ("strip", 20_000, 3),
    ("column", 2, 15_000),
    ("large", 2400, 1799),
]
# The prompts of the model card's first example. It pads them to the longest and passes no attention mask.
CARD_PROMPTS = ["一只猫", "一只狗", "两只猫", "两只老虎", "一只老虎"]
# Of every prepared picture the rows kept, to save space; the embeddings depend on all of them.
ROW_STEP = 4


def text_model(generator):
    vocabulary = VOCABULARY.read_bytes().count(b"\n")
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        num_labels=DIMENSION,
        architectures=["BertForSequenceClassification"],
    )
    model = BertForSequenceClassification(config).eval()
    scramble(model, generator)
    round_to(model, torch.float16)
    return model


def image_model(generator):
    width = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128)
    config = CLIPConfig(
        text_config=dict(width, num_hidden_layers=1, vocab_size=64, bos_token_id=1, eos_token_id=2),
        vision_config=dict(width, patch_size=32, image_size=SIDE),
        projection_dim=DIMENSION,
        architectures=["CLIPModel"],
    )
    model = CLIPModel(config).eval()
    scramble(model, generator)
    round_to(model, torch.bfloat16)
    return model


def write_models(text, image):
    tiny, tiny_bin = DATA / "tiny", DATA / "tiny-bin"
    for folder in (tiny, tiny_bin):
        write_config(text, folder / "text/config.json")
        write_config(image, folder / "image/config.json")
    shutil.copy(VOCABULARY, tiny_bin / "text/vocab.txt")
    preprocessor = dict(
        do_resize=True, size=SIDE, resample=3, do_center_crop=True, crop_size=SIDE,
        do_normalize=True, image_mean=MEAN, image_std=STD,
    )
    (tiny / "image/preprocessor_config.json").write_text(json.dumps(preprocessor, indent=1) + "\n")

    # The text towers in f16, for space: the vocabulary is most of them.
    safetensors(tiny / "text/model.safetensors", state(text, torch.float16))
    safetensors(tiny / "image/model.safetensors", state(image, torch.float32))
    # The same model as pickles with the position buffers of older checkpoints; of the picture model the
    # vision half alone, in bf16.
    old = state(text, torch.float16)
    old["bert.embeddings.position_ids"] = torch.arange(512).expand(1, -1).clone()
    torch.save(old, tiny_bin / "text/pytorch_model.bin")
    old = {k: v for k, v in state(image, torch.bfloat16).items() if k.startswith(("vision_model.", "visual_projection."))}
    old["vision_model.embeddings.position_ids"] = torch.arange(50).expand(1, -1).clone()
    torch.save(old, tiny_bin / "image/pytorch_model.bin")


def card_picture():
    """A picture that end-to-end tests draw again in a line."""
    y, x = np.mgrid[:256, :256]
    return np.stack([x, y, x ^ y], axis=-1).astype(np.uint8)


def embed_picture(image, prepared):
    with torch.inference_mode():
        pooled = image.vision_model(pixel_values=pixel_values(prepared)).pooler_output
        return unit(image.visual_projection(pooled))[0]


def card_table(picture, texts):
    """Probabilities of the texts for the picture as in the model card, to six decimals."""
    logits = 100.0 * torch.from_numpy(texts) @ torch.from_numpy(picture)
    return [round(float(p), 6) for p in logits.softmax(dim=-1)]


def write_references(text, image):
    lines = prompts()
    tokenizer = BertTokenizer.from_pretrained(str(DATA / "tiny/text"))
    ids = [tokenizer(prompt, truncation=True, max_length=512)["input_ids"] for prompt in lines]
    long = tokenizer("两只老虎" * 200, truncation=True, max_length=512)["input_ids"]
    with torch.inference_mode():
        texts = [unit(text(input_ids=torch.tensor([row])).logits)[0] for row in ids]
        texts.append(unit(text(input_ids=torch.tensor([long])).logits)[0])
        padded = unit(text(tokenizer(CARD_PROMPTS, return_tensors="pt", padding=True)["input_ids"]).logits)
        alone = [unit(text(**tokenizer(prompt, return_tensors="pt")).logits)[0] for prompt in CARD_PROMPTS]
    drawn = embed_picture(image, prepare(card_picture(), SIDE))
    card = {
        "prompts": CARD_PROMPTS,
        "probabilities": card_table(drawn, np.stack(alone)),
        "probabilities_as_padded": card_table(drawn, padded),
    }

    arrays = {"text_embeddings": np.stack(texts), "card_embeddings_as_padded": padded}
    embeddings = []
    for name, columns, rows in PICTURES:
        prepared = prepare(picture(columns, rows), SIDE)
        arrays[f"prepared.{name}"] = np.ascontiguousarray(prepared[::ROW_STEP])
        embeddings.append(embed_picture(image, prepared))
    arrays["image_embeddings"] = np.stack(embeddings)
    save_file(arrays, DATA / "reference.safetensors")
    (DATA / "reference.json").write_text(
        json.dumps(
            {"prompts": lines, "token_ids": ids, "card": card, "pictures": PICTURES, "row_step": ROW_STEP},
            ensure_ascii=False,
        )
        + "\n",
        encoding="utf-8",
    )
    report("texts", texts)
    report("pictures", embeddings)


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    generator = torch.Generator().manual_seed(SEED)
    text, image = text_model(generator), image_model(generator)
    write_models(text, image)
    write_references(text, image)
    kinds.write()


if __name__ == "__main__":
    main()
