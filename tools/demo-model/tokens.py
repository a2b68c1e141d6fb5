"""The tokenizer: transformers' BertTokenizer with the small vocabulary of vocabulary.py."""

from pathlib import Path

from transformers import BatchEncoding, BertTokenizer

from captions import alphabet
from vocabulary import wordpieces

MAX_TOKENS = 77  # as the towers of Taiyi-CLIP were trained with


def make_tokenizer(folder: Path) -> BertTokenizer:
    """Writes vocab.txt into the folder and opens it."""
    path = folder / "vocab.txt"
    path.write_text("\n".join(wordpieces(alphabet())) + "\n", encoding="utf-8")
    return BertTokenizer(str(path))


def tokenize(tokenizer: BertTokenizer, texts: list[str]) -> BatchEncoding:
    return tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
