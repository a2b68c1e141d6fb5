"""Everything that has a Chinese name: objects, measure words, places, numbers, and the tokenizer's vocabulary."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MAX_COUNT = 4
NUMERALS = {1: "一", 2: "两", 3: "三", 4: "四"}


@dataclass(frozen=True)
class Kind:
    """One kind of object: what it looks like and what it is called."""

    emoji: str
    name: str
    measures: tuple[str, ...]
    synonyms: tuple[str, ...]
    category: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class Place:
    """One background. `at` are the phrases that say something is there: 草地上 in 草地上的两只老虎."""

    key: str
    names: tuple[str, ...]
    at: tuple[str, ...]


def load_kinds() -> list[Kind]:
    kinds, category = [], ""
    for line in (HERE / "objects.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("@"):
            category = line[1:]
        elif line and not line.startswith("#"):
            emoji, name, measures, *synonyms = line.split()
            kinds.append(Kind(emoji, name, tuple(measures.split("/")), tuple(synonyms), category))
    names = [n for k in kinds for n in k.names]
    assert len(names) == len(set(names)), "a name stands for two objects"
    return kinds


KINDS = load_kinds()
KIND_INDEX = {k.name: i for i, k in enumerate(KINDS)}

PLACES = [
    Place("草地", ("草地", "草坪"), ("草地上", "草坪上")),
    Place("海边", ("海边", "沙滩", "海滩"), ("海边", "沙滩上", "海滩上")),
    Place("雪地", ("雪地",), ("雪地里", "雪地上")),
    Place("夜空", ("夜空", "星空"), ("夜空中", "夜空下", "星空下")),
    Place("沙漠", ("沙漠",), ("沙漠里", "沙漠中")),
    Place("房间", ("房间", "屋子"), ("房间里", "屋子里", "屋里")),
    Place("街道", ("街道", "马路"), ("街道上", "马路上", "街上")),
    Place("森林", ("森林", "树林"), ("森林里", "树林里", "森林中")),
    Place("天空", ("天空", "蓝天"), ("天空中", "蓝天下", "天上")),
    Place("海底", ("海底", "水下"), ("海底", "水下", "海里")),
]

PUNCTUATION = "，。！？、：；“”‘’（）《》—…·,.!?:;'\"()-/ "
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def wordpieces(captions_alphabet: str) -> list[str]:
    """The vocabulary of a BertTokenizer: one entry a character, so no segmentation has to be learnt.

    Latin letters and digits also get their `##` form, as WordPiece continues a run such as `10` with it.
    """
    ascii_runs = "0123456789abcdefghijklmnopqrstuvwxyz"
    characters = {c for c in captions_alphabet.lower() if not c.isspace()} | set(PUNCTUATION.replace(" ", ""))
    return SPECIAL + list(ascii_runs) + ["##" + c for c in ascii_runs] + sorted(characters - set(ascii_runs))


def emoji_font() -> Path:
    """The colour emoji font: $DEMO_EMOJI_FONT, else where Debian's fonts-noto-color-emoji puts it."""
    return Path(os.environ.get("DEMO_EMOJI_FONT", "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"))


def cldr_annotations() -> Path:
    """CLDR's Chinese annotations: $DEMO_CLDR_ZH, else where Debian's unicode-cldr-core puts them."""
    return Path(os.environ.get("DEMO_CLDR_ZH", "/usr/share/unicode/cldr/common/annotations/zh.xml"))


def is_cjk(text: str) -> bool:
    return re.fullmatch(r"[\u4e00-\u9fff]+", text) is not None
