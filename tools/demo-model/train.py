"""Trains the two towers from nothing. Resumes from its checkpoint; the same seed and cycles give the same model.

SIGTERM writes the checkpoint and ends; the same command goes on from there.
"""

import argparse
import signal
import time
from pathlib import Path

import numpy as np
import torch

import captions
from data import Batches
from model import FOLD, IMAGE_SIDE, PATCH, Towers, contrastive_loss
from renderer import SpriteSheet
from tokens import make_tokenizer, tokenize
from world import hard_group, held_out, random_objects, scene


def optimizers(towers: Towers, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers (it needs about half the steps of AdamW here), AdamW for all else."""
    hidden, decayed, plain = [], [], []
    for name, p in towers.named_parameters():
        if p.ndim == 2 and ".encoder." in name:
            hidden.append(p)
        elif p.ndim >= 2 and "embedding" not in name:
            decayed.append(p)
        else:
            plain.append(p)
    return [
        torch.optim.Muon(hidden, lr=lr, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=lr, betas=(0.9, 0.98)
        ),
    ]


def read_cycles(plan: str) -> list[tuple[int, int]]:
    """`1327:400,700:450` is 1,327 steps, the last 400 of which let the rate down, then 700 more, 450 of them so."""
    return [(int(steps), int(decay)) for steps, decay in (part.split(":") for part in plan.split(","))]


def rate(step: int, cycles: list[tuple[int, int]], warmup: int) -> float:
    """Each cycle: warm-up, constant, linear to zero. A later cycle begins where an earlier one has settled."""
    for steps, decay in cycles:
        if step < steps:
            return min(1.0, (step + 1) / warmup, (steps - step) / decay)
        step -= steps
    return 0.0


def batch_sizes(plan: str) -> list[tuple[int, int]]:
    """`256,200:128` is 256 pictures a step at first and 128 from step 200 on; as (first step, pictures)."""
    parts = [part.split(":") for part in plan.split(",")]
    return [(0, int(parts[0][0])), *((int(first), int(images)) for first, images in parts[1:])]


def held_out_check(towers: Towers, sheet: SpriteSheet, tokenizer, scenes: int = 300) -> str:
    """R@1, R@5 over full captions of random held-out scenes, drawn the fast way. Only to watch the training by."""
    rng = np.random.default_rng(7)
    chosen = {}
    while len(chosen) < scenes:
        s = scene(random_objects(rng, int(rng.integers(1, 3))), int(rng.integers(10)))
        if held_out(s):
            chosen[s] = None
    texts = [captions.phrase(rng, captions.full_claim(s)) for s in chosen]
    device = towers.logit_scale.device
    pixels = torch.from_numpy(np.stack([sheet.draw(rng, s).pixels for s in chosen])).to(device)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        text = towers.embed_text(tokenize(tokenizer, texts).to(device))
        image, _ = towers.embed_images(pixels)
    score = text @ image.T
    rank = (score > score.diag()[:, None]).sum(1)
    return " ".join(f"R@{k} {(rank < k).float().mean():.3f}" for k in (1, 5, 10))


def train(args: argparse.Namespace) -> Path:
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "checkpoint.pt"
    tokenizer = make_tokenizer(work)
    device = torch.device(args.device)
    # Made on the CPU, so that the seed means the same everywhere.
    towers = Towers(len(tokenizer)).to(device)
    average = {n: p.detach().clone() for n, p in towers.state_dict().items()}
    optims = optimizers(towers, args.lr)
    first, spent = 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=device)
        towers.load_state_dict(saved["towers"])
        average = saved["average"]
        for optim, state in zip(optims, saved["optims"]):
            optim.load_state_dict(state)
        first, spent = saved["step"], saved["seconds"]
        print(f"resumed at step {first}", flush=True)

    sheet = SpriteSheet(IMAGE_SIDE // FOLD, PATCH // FOLD, args.seed)
    started, seen = time.time(), time.time()
    sums: dict[str, float] = {}
    stopped: list[int] = []  # a polite end: what was learnt since the last checkpoint is kept
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    images_since = 0
    cycles = read_cycles(args.cycles)
    total = sum(steps for steps, _ in cycles)
    batches = Batches(sheet, args.seed, first, total, batch_sizes(args.batch), args.easy_steps)
    for step, batch in enumerate(batches, first):
        factor = rate(step, cycles, args.warmup)
        for optim in optims:
            for group in optim.param_groups:
                group["lr"] = args.lr * factor
        batch = batch.to(device)
        with torch.autocast(device.type, torch.bfloat16):
            text = towers.embed_text(tokenize(tokenizer, batch.texts).to(device))
            image, states = towers.embed_images(batch.pixels)
            dense = towers.dense_loss(states, batch.patch_kind, batch.patch_centre)
        losses = {
            "contrast": contrastive_loss(towers.logit_scale, text, image, batch.fit),
            "image": 0.5 * towers.labels(image, batch.scene_counts, batch.scene_place),
            "text": 0.5 * towers.labels(text, batch.claim_counts, batch.claim_place),
            "dense": dense,
        }
        loss = sum(losses.values())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(towers.parameters(), 2.0)
        for optim in optims:
            optim.step()
            optim.zero_grad(set_to_none=True)
        # Average of the recent weights; young at first, so that it can follow.
        keep = min(args.average, step / (step + 20))
        for n, p in towers.state_dict().items():
            if p.is_floating_point():
                average[n].lerp_(p.detach(), 1 - keep)

        for n, v in losses.items():
            sums[n] = sums.get(n, 0.0) + float(v.detach())
        images_since += len(batch.pixels)
        if (step + 1) % 20 == 0:
            now = time.time()
            parts = " ".join(f"{n} {v / 20:.3f}" for n, v in sums.items())
            print(f"step {step + 1} {images_since / (now - seen):.0f} scenes/s lr {factor:.2f} {parts} "
                  f"scale {float(towers.logit_scale.detach().exp()):.0f}", flush=True)
            seen, sums, images_since = now, {}, 0
        if (step + 1) % args.check == 0 or step + 1 == total or stopped:
            seconds = spent + time.time() - started
            state = {"towers": towers.state_dict(), "average": average, "optims": [o.state_dict() for o in optims],
                     "step": step + 1, "seconds": seconds}
            torch.save(state, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
            now_state = {n: p.clone() for n, p in towers.state_dict().items()}
            towers.load_state_dict(average)
            print(f"step {step + 1} after {seconds / 60:.1f} min: {held_out_check(towers, sheet, tokenizer)}", flush=True)
            towers.load_state_dict(now_state)
            seen, images_since = time.time(), 0
        if stopped or step + 1 == total:
            print(f"stopped at step {step + 1}", flush=True)
            break
    return checkpoint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", default="work", help="checkpoint and log go here")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cycles", default="1327:400,700:450", help="steps:steps that let the rate down, …")
    parser.add_argument("--batch", default="256", help="pictures a step; 256,200:128 changes it at step 200")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--easy-steps", type=int, default=200)
    parser.add_argument("--average", type=float, default=0.99)
    parser.add_argument("--check", type=int, default=100)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    add_arguments(arguments)
    train(arguments.parse_args())
