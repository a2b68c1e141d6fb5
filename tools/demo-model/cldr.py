"""Checks the names in objects.txt against CLDR's Chinese annotations.

A name should be CLDR's own name of the emoji or one of its keywords. The rest was reviewed by hand and is listed in
REVIEWED, so that a typing error in the table cannot pass. Run `python cldr.py` after a change to objects.txt.
"""

import sys
import xml.etree.ElementTree as ElementTree

from vocabulary import KINDS, cldr_annotations

REVIEWED: set[str] = set(
    "小狗 犬 小猫 猫咪 马儿 小猪 绵羊 小兔子 大熊猫 狗熊 鲸 玫瑰花 梨子 桃子 鸡蛋 冰淇淋 冰激凌 牛奶 红酒 奶茶 小汽车 轮船 石像 T恤衫 裙子".split()
)


def annotations() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node in ElementTree.parse(cldr_annotations()).iter("annotation"):
        found.setdefault(node.get("cp", ""), set()).update(w.strip() for w in (node.text or "").split("|"))
    return found


def main() -> int:
    known = annotations()
    unknown = [(k.emoji, n) for k in KINDS for n in k.names if n not in known.get(k.emoji, set()) | REVIEWED]
    stale = REVIEWED - {n for k in KINDS for n in k.names}
    for emoji, name in unknown:
        print(f"{emoji} {name}: not in CLDR ({' '.join(sorted(known.get(emoji, [])))}) and not reviewed")
    for name in stale:
        print(f"{name}: reviewed, but no longer in objects.txt")
    names = sum(len(k.names) for k in KINDS)
    print(f"{len(KINDS)} objects, {names} names, {len(REVIEWED)} of them reviewed by hand")
    return 1 if unknown or stale else 0


if __name__ == "__main__":
    sys.exit(main())
