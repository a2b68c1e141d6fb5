"""Draws docs/terminal.svg and docs/terminal-grid.svg: what the terminal interface shows, from a real session.

    cargo build --release && python3 tools/terminal-picture.py --binary target/release/taiyi-search

Needs tmux and Python's standard library. The demo's index is opened in a temporary home, 两只老虎 is typed, and what
tmux then has in its cells is drawn: colours as rectangles, half-blocks as two of them, text in its own columns.
"""

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

DOCS = Path(__file__).resolve().parent.parent / "docs"
PROMPT = "两只老虎"
COLUMNS, ROWS = 120, 36
# Of a cell, in the units of the picture.
WIDTH, HEIGHT = 8, 17
MARGIN, BAR, RADIUS = 14, 26, 9
# Letters of usual fonts are 0.6 of this wide, and Chinese characters as wide as theirs: about the cells' width.
FONT_SIZE, WIDE_FONT_SIZE = 13.3, 15.4
FONTS = "'JetBrains Mono','DejaVu Sans Mono',Menlo,Consolas,'Noto Sans Mono CJK SC','PingFang SC','Microsoft YaHei',monospace"
TEXT, GROUND, EDGE = "#d4d7dd", "#16181d", "#3a3f4a"
# The sixteen colours that a terminal chooses itself.
PALETTE = [
    "#1d2026", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#b6bcc8",
    "#636a78", "#ff7a85", "#b5e890", "#ffd68a", "#82c4ff", "#dd95f2", "#74d6e2", "#f2f4f8",
]  # fmt: skip


@dataclass(frozen=True)
class Style:
    foreground: str | None = None
    background: str | None = None
    bold: bool = False
    faint: bool = False
    italic: bool = False
    underlined: bool = False
    reversed: bool = False

    def colours(self):
        """Foreground and background as drawn; no background is the screen's."""
        foreground, background = self.foreground or TEXT, self.background
        if self.reversed:
            foreground, background = background or GROUND, foreground
        if self.faint:
            foreground = blend(foreground, background or GROUND)
        return foreground, background


@dataclass(frozen=True)
class Cell:
    # Empty for the second half of a wide character.
    text: str
    style: Style


def blend(a, b):
    """Between two colours, as terminals draw faint text."""
    pairs = zip(bytes.fromhex(a[1:]), bytes.fromhex(b[1:]))
    return "#" + bytes((3 * x + 2 * y) // 5 for x, y in pairs).hex()


def indexed(number):
    """A colour of the 256."""
    if number < 16:
        return PALETTE[number]
    if number < 232:
        levels = [0, 95, 135, 175, 215, 255]
        number -= 16
        return "#" + bytes(levels[n] for n in (number // 36, number // 6 % 6, number % 6)).hex()
    return "#" + bytes([8 + 10 * (number - 232)] * 3).hex()


def restyled(style, numbers):
    """The style after a sequence of SGR."""
    numbers = [int(number or 0) for number in re.split("[;:]", numbers)]
    change = vars(style).copy()
    flags = {1: "bold", 2: "faint", 3: "italic", 4: "underlined", 7: "reversed"}
    while numbers:
        number = numbers.pop(0)
        if number in (38, 48):
            kind, count = (numbers[0], 4) if numbers[0] == 2 else (5, 2)
            values, numbers = numbers[1:count], numbers[count:]
            colour = "#" + bytes(values).hex() if kind == 2 else indexed(values[0])
            change["foreground" if number == 38 else "background"] = colour
        elif number == 0:
            change = vars(Style()).copy()
        elif number in flags:
            change[flags[number]] = True
        elif number == 22:
            change["bold"] = change["faint"] = False
        elif number - 20 in flags:
            change[flags[number - 20]] = False
        elif 30 <= number <= 37 or 90 <= number <= 97:
            change["foreground"] = PALETTE[number - 30 if number < 40 else number - 82]
        elif 40 <= number <= 47 or 100 <= number <= 107:
            change["background"] = PALETTE[number - 40 if number < 50 else number - 92]
        elif number in (39, 49):
            change["foreground" if number == 39 else "background"] = None
    return Style(**change)


def parse(captured):
    """Rows of cells from what `capture-pane -e` prints."""
    rows, style = [], Style()
    for line in captured.split("\n")[:ROWS]:
        row = []
        for sequence, character in re.findall(r"\x1b\[([0-9;:]*)m|(.)", line):
            if not character:
                style = restyled(style, sequence)
            elif unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Mn", "Me"):
                row[-1] = Cell(row[-1].text + character, row[-1].style)
            else:
                row.append(Cell(character, style))
                if unicodedata.east_asian_width(character) in "WF":
                    row.append(Cell("", style))
        blank = Cell(" ", Style())
        rows.append((row + [blank] * COLUMNS)[:COLUMNS])
    return rows


def pixels(cell):
    """Upper and lower colour of a cell, and whether that is all there is to it."""
    foreground, background = cell.style.colours()
    match cell.text:
        case "▀":
            return foreground, background, True
        case "▄":
            return background, foreground, True
        case "▌":
            # Its left half is drawn on its own.
            return background, background, True
        case _:
            return background, background, cell.text in (" ", "")


def rectangles(rows):
    """Rectangles of one colour as (column, half row, columns, half rows, colour), merged where they can be."""
    lines = []
    for row in rows:
        for half in (0, 1):
            lines.append([pixels(cell)[half] for cell in row])
    open_runs, done = {}, []
    for y, line in enumerate([*lines, []]):
        runs, x = {}, 0
        while x < len(line):
            end = x + 1
            while end < len(line) and line[end] == line[x]:
                end += 1
            if line[x]:
                runs[x, end, line[x]] = y
            x = end
        for run, since in open_runs.items():
            if run in runs:
                runs[run] = since
            else:
                done.append((run[0], since, run[1] - run[0], y - since, run[2]))
        open_runs = runs
    return done


def texts(row):
    """Runs of text as (column, columns, text, style): broken where the style or the width changes."""
    runs, x = [], 0
    while x < len(row):
        cell = row[x]
        wide = x + 1 < len(row) and row[x + 1].text == ""
        columns = 2 if wide else 1
        if pixels(cell)[2]:
            # A single blank between words of one style belongs to them; more of them do not.
            if runs and runs[-1][4] == wide and runs[-1][3] == cell.style and runs[-1][0] + runs[-1][1] == x:
                start, length, text, style, kind = runs[-1]
                if cell.text == " " and not text.endswith(" "):
                    runs[-1] = (start, length + 1, text + " ", style, kind)
        elif runs and runs[-1][3:] == (cell.style, wide) and runs[-1][0] + runs[-1][1] == x:
            start, length, text, style, kind = runs[-1]
            runs[-1] = (start, length + columns, text + cell.text, style, kind)
        else:
            runs.append((x, columns, cell.text, cell.style, wide))
        x += columns
    trimmed = []
    for start, length, text, style, _ in runs:
        blanks = len(text) - len(text.rstrip(" "))
        trimmed.append((start, length - blanks, text.rstrip(" "), style))
    return trimmed


def svg(rows, cursor, title):
    """The screen in a window."""
    width, height = COLUMNS * WIDTH + 2 * MARGIN, len(rows) * HEIGHT + 2 * MARGIN + BAR
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-size="{FONT_SIZE}" xml:space="preserve">',
        f"<title>{escape(title)}</title>",
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="{RADIUS}" fill="{GROUND}" stroke="{EDGE}"/>',
    ]
    for place, colour in enumerate(["#ff5f57", "#febc2e", "#28c840"]):
        out.append(f'<circle cx="{MARGIN + 6 + 18 * place}" cy="{MARGIN + 3}" r="5.5" fill="{colour}"/>')
    # By colour, because that is what repeats: one path for each.
    by_colour = {}
    for x, y, columns, halves, colour in rectangles(rows):
        by_colour.setdefault(colour, []).append(f"M{x} {y}h{columns}v{halves}h-{columns}z")
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            if cell.text == "▌":
                by_colour.setdefault(cell.style.colours()[0], []).append(f"M{x} {2 * y}h.5v2h-.5z")
    inner = f'transform="translate({MARGIN} {MARGIN + BAR})"'
    scale = f'transform="translate({MARGIN} {MARGIN + BAR})scale({WIDTH} {HEIGHT / 2})"'
    out.append(f'<g {scale} shape-rendering="crispEdges">')
    out += [f'<path fill="{short(colour)}" d="{"".join(paths)}"/>' for colour, paths in by_colour.items()]
    out.append("</g>")
    out.append(f'<g {inner} font-family="{FONTS}">')
    for y, row in enumerate(rows):
        for x, columns, text, style in texts(row):
            attributes = f'x="{x * WIDTH}" y="{y * HEIGHT + 13}" fill="{short(style.colours()[0])}"'
            if columns > 1:
                attributes += f' textLength="{columns * WIDTH}"'
            if columns > len(text):
                attributes += f' font-size="{WIDE_FONT_SIZE}"'
            attributes += ' font-weight="bold"' * style.bold + ' font-style="italic"' * style.italic
            attributes += ' text-decoration="underline"' * style.underlined
            out.append(f"<text {attributes}>{escape(text)}</text>")
    x, y = cursor
    out.append(f'<rect x="{x * WIDTH}" y="{y * HEIGHT + 1}" width="2" height="{HEIGHT - 2}" fill="{TEXT}"/>')
    out.append("</g>\n</svg>\n")
    return "\n".join(out)


def short(colour):
    """`#abc` for `#aabbcc`."""
    return "#" + colour[1::2] if colour[1::2] == colour[2::2] else colour


class Session:
    """A session of tmux of its own, with the demo in it."""

    def __init__(self, home, binary):
        self.socket = str(Path(home) / "tmux.sock")
        config = Path(home) / "tmux.conf"
        config.write_text("set -g default-terminal xterm-256color\nset -s escape-time 0\nset -g status off\n")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("TAIYI_", "XDG_"))}
        for name in ("TMUX", "NO_COLOR", "SSH_CONNECTION"):
            environment.pop(name, None)
        environment |= {"HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        self.environment = environment
        subprocess.run([binary, "demo", "-q", PROMPT], env=environment, check=True, stdout=subprocess.DEVNULL)
        index = Path(home) / ".cache/taiyi-search/demo/index"
        size = ("-x", str(COLUMNS), "-y", str(ROWS))
        self.tmux("-f", str(config), "new-session", "-d", *size, binary, "tui", "--index", str(index))

    def tmux(self, *arguments):
        command = ["tmux", "-u", "-S", self.socket, *arguments]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def capture(self):
        return self.tmux("capture-pane", "-e", "-N", "-p")

    def wait_for(self, what, is_there, limit_s=120):
        until = time.monotonic() + limit_s
        while not is_there(screen := self.capture()):
            if time.monotonic() > until:
                raise SystemExit(f"waited in vain for {what}; the screen:\n{self.tmux('capture-pane', '-p')}")
            time.sleep(0.1)
        # Twice the same: nothing more is coming.
        while True:
            time.sleep(1)
            before, screen = screen, self.capture()
            if screen == before:
                return screen

    def cursor(self):
        x, y = self.tmux("display-message", "-p", "#{cursor_x} #{cursor_y}").split()
        return int(x), int(y)

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], check=False, capture_output=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/taiyi-search", type=Path)
    parser.add_argument("--out", default=DOCS, type=Path, help="the folder to write to")
    a = parser.parse_args()
    # Its name is in the pictures, so it is always the same.
    home = Path(tempfile.gettempdir()) / "demo-home"
    home.mkdir()
    try:
        session = Session(home, str(a.binary.resolve()))
        try:
            session.wait_for("the interface", lambda screen: "300/300" in screen)
            session.tmux("send-keys", "-l", PROMPT)
            has_pictures = lambda count: lambda screen: screen.count("▀") + screen.count("▄") > count
            for name, keys in (("terminal", ()), ("terminal-grid", ("C-g", "Right"))):
                if keys:
                    session.tmux("send-keys", *keys)
                screen = session.wait_for("pictures", has_pictures(100))
                path = a.out / f"{name}.svg"
                path.write_text(svg(parse(screen), session.cursor(), f"taiyi-search: {PROMPT}"), encoding="utf-8")
                print(f"{path}: {path.stat().st_size} bytes")
        finally:
            session.close()
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
