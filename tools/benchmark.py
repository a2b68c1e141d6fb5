"""Measures the program beside what a user would run instead, in one run, and prints Markdown tables.

    python tools/benchmark.py encoders   --model MODEL --peer bench_encoders.py --towers target/release/examples/bench_towers
    python tools/benchmark.py cold-query --model MODEL --towers … --binary target/release/taiyi-search --index INDEX … --int8-index INDEX …
    python tools/benchmark.py indexing   --model MODEL --towers … --binary … --photos PHOTOS
    python tools/benchmark.py recheck    --binary … --photos MANY --model demo
    python tools/benchmark.py nearest    --peer bench_ann.py --store target/release/examples/bench_store --vectors DIR [--hnsw-rs …]

Programs take turns, round after round, so that a machine that slows down slows all of them; numbers are medians over
the rounds (`nearest`, which takes many minutes, goes through them once). A peer is a Python script that prints one JSON line for each program it measures:
encoders  {"peer", "threads", "text_ms": {tokens: ms}, "texts_per_s", "images_per_s": {batch: n}}, called with MODEL, --threads and --only PEER
nearest   {"peer", "n", "build_s", "load_s", "disk_mb", "ef_recall_qps1": [[ef, recall, queries a second], …]}, called with
          DIR, --n and --threads, which leaves base.f32, query.f32 and gt.u32 in DIR
Our own examples bench_towers and bench_store print the same. Needs nothing but Python's standard library, and what the peers need.
"""
# fmt: off
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
# fmt: on

PROMPT = "两只老虎"
PROMPT_TOKENS = "6"  # [CLS] 两 只 老 虎 [SEP]


def json_lines(command):
    """The JSON lines that a command prints; everything else it says goes to the terminal."""
    done = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def run(command, environment=None):
    """Runs a command with its output thrown away: seconds it took, and its peak memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status != 0:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{said.decode(errors='replace')}")
    return seconds, usage.ru_maxrss / 1024


def table(head, rows):
    print("\n| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def towers(a, precision="f32"):
    command = [a.towers, a.model, precision, a.threads]
    if precision != "f32":
        command.append(a.cache)  # where the quantised weights stay from round to round
    return json_lines(command)[0]


def encoders(a):
    """Both towers against their peers, and what is ours divided by what is theirs."""
    pairs = [("ort", "f32"), ("ort-int8", "int8")]
    rows = {name: [] for pair in pairs for name in pair}
    for round_ in range(a.rounds):
        for peer, precision in pairs:
            theirs = [a.python, a.peer, a.model, "--threads", a.threads, "--only", peer]
            rows[peer].append(json_lines(theirs)[0])
            rows[precision].append(towers(a, precision))
            print(f"round {round_ + 1}, {precision}", file=sys.stderr, flush=True)

    def median(name, *keys):
        values = []
        for row in rows[name]:
            for key in keys:
                row = row[key]
            values.append(row)
        return statistics.median(values)

    measures = [(f"one prompt, {n} tokens, ms", ("text_ms", n), False) for n in ("6", "16", "32")]
    measures.append(("64 prompts of 16 tokens, texts/s", ("texts_per_s",), True))
    measures += [(f"images/s, batch {n}", ("images_per_s", n), True) for n in ("1", "8", "32")]
    lines = []
    for label, keys, higher in measures:
        line = [label]
        for peer, precision in pairs:
            theirs, ours = median(peer, *keys), median(precision, *keys)
            line += [f"{theirs:.1f}", f"{ours:.1f}", f"{ours / theirs:.2f}"]
        lines.append([*line, "higher" if higher else "lower"])
    head = ["", "ONNX Runtime f32", "ours", "ratio", "ONNX Runtime int8", "ours", "ratio", "better is"]
    table(head, lines)


def read_once(path, buffer=bytearray(1 << 20)):
    began = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return time.perf_counter() - began


def cold_query(a):
    """The whole process of one query against reading the text tower's weights and encoding its prompt."""
    weights = Path(a.model) / "text" / "model.safetensors"
    read_once(weights)
    rows = []
    for precision, indexes in (("f32", a.index), ("int8", a.int8_index)):
        for index in indexes:
            command = [a.binary, "query", PROMPT, "--model", a.model, "--index", index, "-k", "10"]
            command += ["--precision", precision]
            run(command)
            reads, queries, peaks = [], [], []
            for _ in range(a.rounds * 3):
                reads.append(read_once(weights))
                seconds, peak = run(command)
                queries.append(seconds)
                peaks.append(peak)
            encode_ms = towers(a, precision)["text_ms"][PROMPT_TOKENS]
            floor = statistics.median(reads) + encode_ms / 1000
            query = statistics.median(queries)
            rows.append(
                [
                    f"{index}, {precision}",
                    f"{statistics.median(reads) * 1000:.0f} ms",
                    f"{encode_ms:.0f} ms",
                    f"{query * 1000:.0f} ms",
                    f"{query / floor:.2f}",
                    f"{max(peaks):.0f} MB",
                ]
            )
    table(["index", "reading the f32 text weights", "encoding", "query", "ratio to the two", "peak memory"], rows)


def indexing(a):
    """The wall time of `index` against pictures ÷ the image tower's own rate."""
    pictures = sum(1 for path in Path(a.photos).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    walls, peaks, rates = [], [], []
    with tempfile.TemporaryDirectory(prefix="taiyi-") as scratch:
        index = Path(scratch) / "index"
        for _ in range(a.rounds):
            rates.append(towers(a)["images_per_s"]["32"])
            shutil.rmtree(index, ignore_errors=True)
            seconds, peak = run([a.binary, "index", a.photos, "--model", a.model, "--index", index, *a.extra])
            walls.append(seconds)
            peaks.append(peak)
    wall, rate = statistics.median(walls), statistics.median(rates)
    row = [str(a.photos), str(pictures), f"{rate:.1f}/s", f"{wall:.2f} s", f"{pictures / wall:.1f}/s"]
    head = ["photos", "pictures", "tower alone", "index", "rate", "ratio", "peak memory"]
    table(head, [[*row, f"{wall * rate / pictures:.2f}", f"{max(peaks):.0f} MB"]])


def recheck(a):
    """`index` over files it knows, against `find` over the same."""
    with tempfile.TemporaryDirectory(prefix="taiyi-") as scratch:
        command = [a.binary, "index", a.photos, "--model", a.model, "--index", Path(scratch) / "index"]
        run(command)
        finds, checks = [], []
        for _ in range(a.rounds):
            finds.append(run(["find", a.photos, "-printf", "%s %T@\\n"])[0])
            checks.append(run(command)[0])
    find, check = statistics.median(finds), statistics.median(checks)
    row = [str(a.photos), f"{find:.3f} s", f"{check:.3f} s", f"{check / find:.2f}"]
    table(["folder", "find -printf '%s %T@'", "index, unchanged", "ratio"], [row])


def nearest(a):
    """Graphs and scans over the very same vectors."""
    lines = json_lines([a.python, a.peer, a.vectors, "--n", a.n, "--threads", a.threads])
    with tempfile.TemporaryDirectory(prefix="taiyi-", dir=a.vectors) as scratch:
        lines += json_lines([a.store, Path(scratch) / "index", a.n, a.vectors, a.threads])
    if a.hnsw_rs:
        lines += json_lines([a.hnsw_rs, a.vectors, a.threads])
    rows = []
    for line in lines:
        curve = "; ".join(f"{ef}: {recall:.3f}, {rate:,}/s" for ef, recall, rate in line["ef_recall_qps1"])
        numbers = (line["build_s"], line["load_s"], line["disk_mb"])
        rows.append([line["peer"], *("–" if number is None else f"{number:g}" for number in numbers), curve])
    table(["", "build, s", "open, s", "on disk, MB", "ef: recall@10, queries a second (one thread)"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for work in (encoders, cold_query, indexing, recheck, nearest):
        command = commands.add_parser(work.__name__.replace("_", "-"), help=work.__doc__)
        command.set_defaults(work=work)
        command.add_argument("--rounds", type=int, default=3)
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--cache", default="target/int8", help="a folder for quantised weights")
        command.add_argument("--python", default=sys.executable, help="the Python that has what the peers need")
        command.add_argument("--binary", default="target/release/taiyi-search", type=Path)
        command.add_argument("--towers", default="target/release/examples/bench_towers", type=Path)
        if work is not nearest:
            command.add_argument("--model", required=True)
        if work in (encoders, nearest):
            command.add_argument("--peer", required=True, help="the script that measures the others")
        if work is cold_query:
            command.add_argument("--index", nargs="+", required=True, help="made with the same model")
            command.add_argument("--int8-index", nargs="*", default=[], help="made with it in --precision int8")
        if work in (indexing, recheck):
            command.add_argument("--photos", required=True)
        if work is indexing:
            command.add_argument("--extra", nargs="*", default=[], help="more flags for index: --extra=--full-decode")
        if work is nearest:
            command.add_argument("--store", default="target/release/examples/bench_store", type=Path)
            command.add_argument("--hnsw-rs", help="the program of tools/hnsw_rs")
            command.add_argument("--vectors", required=True, help="a folder for the vectors, made if missing")
            command.add_argument("--n", type=int, default=100_000)
    a = parser.parse_args()
    a.work(a)


if __name__ == "__main__":
    main()
