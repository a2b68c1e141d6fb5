"""Measures the terminal interface: from the last key of a prompt to its results on the screen.

    python3 tools/terminal-times.py --binary target/release/taiyi-search [--index DIR …]

Prompts are typed into the real program on a pseudo-terminal, one character every 40 ms; the times are those that the
program logs itself. They include the pause of 150 ms for which it waits for another key before it searches. The
demo's index is asked, in a temporary home, and then every one given. Needs nothing but Python's standard library.
"""

import argparse
import fcntl
import math
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

PROMPTS = [
    "两只老虎", "三辆汽车", "雪地里的企鹅", "森林里的猫", "海边的日落", "夜空", "四个苹果", "沙漠里的骆驼",
    "草地上的兔子", "街道上的自行车", "房间里的吉他", "海底的鱼", "两架飞机", "红色的气球", "一朵玫瑰", "三只熊猫",
]  # fmt: skip
STYLE = re.compile(r"\x1b\[[0-9;]*m")
DRAWN = re.compile(r"results drawn after the last key.*?\bms=([0-9.]+)")
KEY_S, LIMIT_S = 0.04, 120
COLUMNS, ROWS = 120, 36


class Program:
    """The interface on a pseudo-terminal that nobody looks at."""

    def __init__(self, command, environment):
        self.terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            command, stdin=inside, stdout=inside, stderr=inside, env=environment, start_new_session=True
        )
        os.close(inside)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def read(self, seconds):
        """Takes what is drawn for so long, as a terminal would: the program must never wait for it."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                try:
                    os.read(self.terminal, 1 << 16)
                except OSError:
                    raise SystemExit(f"the interface has ended, with {self.process.wait()}") from None

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.terminal)


def times(log):
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    return [float(ms) for ms in DRAWN.findall(STYLE.sub("", text))]


def measure(binary, index, environment, log, rounds):
    """Milliseconds of every prompt; the first, which loads the model, is not among them."""
    if not (index / "manifest.json").is_file():
        raise SystemExit(f"{index} is no index")
    command = [binary, "tui", "-vv", "--index", str(index), "--model", "demo"]
    # Inside tmux nothing is asked of the terminal, which nobody would answer here.
    program = Program(command, environment | {"TMUX": "none"})
    found = []
    try:
        program.read(2)
        for prompt in ["预热", *PROMPTS * rounds]:
            known = len(times(log))
            for character in prompt:
                program.type(character)
                program.read(KEY_S)
            until = time.monotonic() + LIMIT_S
            while len(after := times(log)) == known:
                if time.monotonic() > until:
                    raise SystemExit(f"no results for {prompt} within {LIMIT_S} s; is the log {log}?")
                program.read(0.02)
            found.append(after[-1])
            # Ctrl-u: all of it is deleted. What is browsed then must be there before the next prompt.
            program.type("\x15")
            program.read(0.6)
        return found[1:]
    finally:
        program.close()


def report(name, found):
    ordered = sorted(found)
    p95 = ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)]
    print(f"{name}: n = {len(found)}, median {statistics.median(found):.0f} ms, 95th percentile {p95:.0f} ms", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/taiyi-search", type=Path)
    parser.add_argument("--index", type=Path, nargs="*", default=[], help="more indexes of the demo model")
    parser.add_argument("--rounds", type=int, default=3, help=f"how often the {len(PROMPTS)} prompts are typed")
    a = parser.parse_args()
    binary = str(a.binary.resolve())
    with tempfile.TemporaryDirectory(prefix="taiyi-") as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("TAIYI_", "XDG_"))}
        cache = Path(home) / "cache"
        environment |= {"HOME": home, "TERM": "xterm-256color"}
        environment |= {f"XDG_{name}_HOME": str(Path(home) / name.lower()) for name in ("DATA", "CONFIG", "CACHE")}
        log = cache / "taiyi-search" / "tui.log"
        demo = [binary, "demo", "-q", PROMPTS[0]]
        subprocess.run(demo, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        index = cache / "taiyi-search" / "demo" / "index"
        report("the demo's index", measure(binary, index, environment, log, a.rounds))
        for index in a.index:
            report(str(index), measure(binary, index.resolve(), environment, log, a.rounds))


if __name__ == "__main__":
    sys.exit(main())
