"""The one command: trains, exports, draws the collection, writes what the tests compare with, measures. See README.md."""

import argparse
import sys
from pathlib import Path

import cldr
import collection
import evaluate
import golden
import train
from export import export

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=evaluate.DATA, help="the folder to write")
    train.add_arguments(parser)
    a = parser.parse_args()
    if cldr.main():
        sys.exit("objects.txt has names that were not reviewed")
    export(train.train(a), a.out / "model")
    collection.make(a.out, a.seed)
    golden.write(a.out)
    sys.exit(0 if evaluate.report(a.out / "model", a.out) else 1)
