"""Compares the binary's embeddings with transformers' at full size; exits 1 when a bound is missed.

    python tools/parity.py --binary target/release/taiyi-search --model MODEL --golden MODEL --photos PHOTOS

GOLDEN is a folder with the reference numbers for MODEL:
  golden.npz   text_ids (padded with 0), text_embeds, image_embeds: unit vectors, f32
  golden.json  texts; images (file names under PHOTOS); logit_scale; quick_start: five texts and the
               probabilities of its one picture, the first PNG; quick_start_padded, if the model's card
               does so: the same where the texts are one batch, padded without an attention mask
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

COMPONENT_BOUND = 2e-5  # max |ours - reference| of a component, where pixels are decoded without loss
COSINE_BOUND = 0.999  # least cosine over JPEGs, whose decoders may differ by a unit
MEAN_COSINE_BOUND = 0.9997
BATCH = 64  # arguments a call


def embed(binary, model, flag, inputs):
    """The binary's answer for every input: a dict with `embedding`, and for texts `token_ids`."""
    answers = []
    for start in range(0, len(inputs), BATCH):
        command = [binary, "embed", "--model", str(model), "--format", "json"]
        for value in inputs[start : start + BATCH]:
            # One argument, so that a text may begin with a dash.
            command.append(f"{flag}={value}")
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        if done.returncode != 0:
            sys.exit(f"{' '.join(command[:4])} … failed with {done.returncode}:\n{done.stderr}")
        answers += [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(inputs):
        sys.exit(f"{len(answers)} answers to {len(inputs)} inputs")
    return answers


def classify(binary, model, picture, labels, *flags):
    """The probabilities of `labels` for a picture, in their order."""
    command = [binary, "classify", "--model", str(model), "--format", "json", "--top", str(len(labels)), *flags]
    command += ["--labels=" + ",".join(labels), "--", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[:4])} … failed with {done.returncode}:\n{done.stderr}")
    found = {fit["label"]: fit["probability"] for fit in json.loads(done.stdout)["labels"]}
    return [found[label] for label in labels]


def vectors(answers):
    return np.array([answer["embedding"] for answer in answers], np.float32)


def spread(rows):
    """Mean over pairs of different inputs of the largest difference of a component."""
    largest = [np.abs(rows[:index] - rows[index]).max(axis=1) for index in range(1, len(rows))]
    return float(np.concatenate(largest).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="taiyi-search")
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--golden", required=True, type=Path)
    parser.add_argument("--photos", required=True, type=Path)
    args = parser.parse_args()

    golden = json.loads((args.golden / "golden.json").read_text(encoding="utf-8"))
    arrays = np.load(args.golden / "golden.npz")
    texts = golden["texts"]
    quick = golden["quick_start"]
    answers = embed(args.binary, args.model, "--text", texts)
    images = vectors(embed(args.binary, args.model, "--image", [args.photos / name for name in golden["images"]]))

    rows = []  # what, measured, bound, met

    expected = [[int(token) for token in np.trim_zeros(row, "b")] for row in arrays["text_ids"]]
    equal = sum(answer["token_ids"] == row for answer, row in zip(answers, expected, strict=True))
    rows.append(("texts with equal token ids", f"{equal}/{len(texts)}", f"{len(texts)}", equal == len(texts)))

    off = float(np.abs(vectors(answers) - arrays["text_embeds"]).max())
    rows.append(("texts: max |Δ| of a component", f"{off:.2e}", f"{COMPONENT_BOUND:.0e}", off < COMPONENT_BOUND))
    rows.append(("texts: the same between different ones, mean", f"{spread(arrays['text_embeds']):.2e}", "", True))

    lossless = np.array([name.lower().endswith(".png") for name in golden["images"]])
    if lossless.any():
        off = float(np.abs(images - arrays["image_embeds"])[lossless].max())
        rows.append(("PNGs: max |Δ| of a component", f"{off:.2e}", f"{COMPONENT_BOUND:.0e}", off < COMPONENT_BOUND))
    rows.append(("pictures: the same between different ones, mean", f"{spread(arrays['image_embeds']):.2e}", "", True))
    if not lossless.all():
        cosines = (images * arrays["image_embeds"]).sum(axis=1)[~lossless]
        least, mean = float(cosines.min()), float(cosines.mean())
        rows.append((f"{len(cosines)} JPEGs: least cosine", f"{least:.6f}", f"{COSINE_BOUND}", least >= COSINE_BOUND))
        rows.append(
            (f"{len(cosines)} JPEGs: mean cosine", f"{mean:.6f}", f"{MEAN_COSINE_BOUND}", mean >= MEAN_COSINE_BOUND)
        )
    if lossless.any():
        picture = args.photos / golden["images"][int(lossless.argmax())]
        padded = golden.get("quick_start_padded")
        for flags, reference in (([], quick), (["--reference-padding"], padded)):
            if reference is None:
                continue
            ours = classify(args.binary, args.model, picture, quick["texts"], *flags)
            for text, mine, theirs in zip(quick["texts"], ours, reference["probs"], strict=True):
                mine, theirs = f"{mine:.3f}", f"{theirs:.3f}"
                rows.append((" ".join(["probability of", text, *flags]), mine, theirs, mine == theirs))

    print("| | measured | bound or reference | |\n|---|---|---|---|")
    for what, measured, bound, met in rows:
        print(f"| {what} | {measured} | {bound} | {'' if not bound else 'ok' if met else 'MISSED'} |")
    return 0 if all(met for *_, met in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
