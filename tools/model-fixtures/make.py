"""Makes the tiny models and the reference numbers under crates/taiyi-model/tests/data. See README.md."""
import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    CLIPConfig,
    CLIPModel,
)

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "crates/taiyi-model/tests/data"
VOCABULARY = DATA / "tiny/text/vocab.txt"
SEED = 20_221_123
DIMENSION = 64
GAIN = 2.5  # of weight matrices: far from the identity, and far from saturation
SIDE = 224
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]

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


def write_config(model, path):
    config = json.loads(model.config.to_json_string(use_diff=False))
    # As published: the number of labels is told by their names, or by the classifier's shape.
    config.pop("num_labels", None)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


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

    def state(model, dtype):
        return {name: value.to(dtype).contiguous() for name, value in model.state_dict().items() if value.is_floating_point()}

    def safetensors(path, tensors):
        save_torch_file(tensors, path, metadata={"format": "pt"})

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


def picture(columns, rows):
    """Ramps, hard edges and noise, in integers alone: tests/support draws the same ones instead of storing them."""
    x, y, c = np.meshgrid(np.arange(columns), np.arange(rows), np.arange(3), indexing="xy")
    x, y, c = (axis.transpose(0, 1, 2).astype(np.uint64) for axis in (x, y, c))
    ramps = np.abs(((x * (3 + 2 * c) + y * (5 - c)) // 2 % 511).astype(np.int64) - 255)
    checks = np.where((x // 5 + y // 7 + c) % 2 == 0, 230, 20)
    noise = (x * 73_856_093 + y * 19_349_663 + c * 83_492_791) * 2_654_435_761 % 2**32 // 2**24
    pixels = np.where(y * 5 > rows * 3, checks, ramps)
    return np.where((x * 3 < columns) & (y * 3 < rows), noise, pixels).astype(np.uint8)


def prepare(pixels):
    """Resize of the short side and centre crop as openai/CLIP does them with Pillow: u8 `[224, 224, 3]`."""
    image = Image.fromarray(pixels)
    columns, rows = image.size
    short = min(columns, rows)
    size = (SIDE * columns // short, SIDE * rows // short)
    left, top = (round((length - SIDE) / 2) for length in size)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + SIDE, top + SIDE)))


def card_picture():
    """A picture that end-to-end tests draw again in a line."""
    y, x = np.mgrid[:256, :256]
    return np.stack([x, y, x ^ y], axis=-1).astype(np.uint8)


def embed_picture(image, prepared):
    values = (prepared.astype(np.float32) / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
    batch = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]
    with torch.inference_mode():
        pooled = image.vision_model(pixel_values=batch).pooler_output
        return unit(image.visual_projection(pooled))[0]


def card_table(picture, texts):
    """Probabilities of the texts for the picture as in the model card, to six decimals."""
    logits = 100.0 * torch.from_numpy(texts) @ torch.from_numpy(picture)
    return [round(float(p), 6) for p in logits.softmax(dim=-1)]


def unit(vectors):
    return (vectors / vectors.norm(dim=-1, keepdim=True)).numpy().astype(np.float32)


def write_references(text, image):
    prompts = [line for line in (DATA / "prompts.txt").read_text(encoding="utf-8").split("\n") if line.strip()]
    tokenizer = BertTokenizer.from_pretrained(str(DATA / "tiny/text"))
    ids = [tokenizer(prompt, truncation=True, max_length=512)["input_ids"] for prompt in prompts]
    long = tokenizer("两只老虎" * 200, truncation=True, max_length=512)["input_ids"]
    with torch.inference_mode():
        texts = [unit(text(input_ids=torch.tensor([row])).logits)[0] for row in ids]
        texts.append(unit(text(input_ids=torch.tensor([long])).logits)[0])
        padded = unit(text(tokenizer(CARD_PROMPTS, return_tensors="pt", padding=True)["input_ids"]).logits)
        alone = [unit(text(**tokenizer(prompt, return_tensors="pt")).logits)[0] for prompt in CARD_PROMPTS]
    drawn = embed_picture(image, prepare(card_picture()))
    card = {
        "prompts": CARD_PROMPTS,
        "probabilities": card_table(drawn, np.stack(alone)),
        "probabilities_as_padded": card_table(drawn, padded),
    }

    arrays = {"text_embeddings": np.stack(texts), "card_embeddings_as_padded": padded}
    embeddings = []
    for name, columns, rows in PICTURES:
        prepared = prepare(picture(columns, rows))
        arrays[f"prepared.{name}"] = np.ascontiguousarray(prepared[::ROW_STEP])
        embeddings.append(embed_picture(image, prepared))
    arrays["image_embeddings"] = np.stack(embeddings)
    save_file(arrays, DATA / "reference.safetensors")
    (DATA / "reference.json").write_text(
        json.dumps(
            {"prompts": prompts, "token_ids": ids, "card": card, "pictures": PICTURES, "row_step": ROW_STEP},
            ensure_ascii=False,
        )
        + "\n",
        encoding="utf-8",
    )
    for what, rows in (("texts", texts), ("pictures", embeddings)):
        rows = np.stack(rows)
        cosines = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
        print(f"{len(rows)} {what}: cosine between different ones {cosines.mean():.3f}, at most {cosines.max():.3f}")


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    generator = torch.Generator().manual_seed(SEED)
    text, image = text_model(generator), image_model(generator)
    write_models(text, image)
    write_references(text, image)


if __name__ == "__main__":
    main()
