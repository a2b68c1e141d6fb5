"""Makes the files that the tests of taiyi-exchange read: NumPy arrays and Parquet tables by the programs that users
have. Drawn from nothing; under the licence of taiyi-search.

    python -m pip install -r tools/exchange-fixtures/requirements.txt
    python tools/exchange-fixtures/make.py crates/taiyi-exchange/tests/data
"""
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PATHS = ["/照片/猫.jpg", "/照片/狗 2.png", "/照片/旅行/海边.webp"]
VECTORS = np.array([[1, 0, 0, 0], [0.5, 0.5, -0.5, 0.5], [0, 0, 0.6, 0.8]], dtype=np.float32)


def arrays(folder):
    np.save(folder / "f16.npy", VECTORS.astype("<f2"))
    np.save(folder / "f32.npy", VECTORS)
    np.save(folder / "f64.npy", VECTORS.astype("<f8"))
    np.save(folder / "big-endian.npy", VECTORS.astype(">f2"))
    np.save(folder / "fortran.npy", np.asfortranarray(VECTORS))
    np.save(folder / "flat.npy", VECTORS.ravel())
    np.save(folder / "records.npy", np.zeros(3, dtype=[("x", "<f4"), ("y", "<f4")]))
    for version in [(2, 0), (3, 0)]:
        with open(folder / f"version-{version[0]}.npy", "wb") as file:
            np.lib.format.write_array(file, VECTORS, version=version)
    for name, row, value in [("nan", 1, np.nan), ("infinite", 2, np.inf), ("long", 1, 3.0), ("zero", 0, 0.0)]:
        vectors = VECTORS.copy()
        vectors[row] = 0
        vectors[row, 3] = value
        np.save(folder / f"{name}.npy", vectors.astype("<f2"))


def tables(folder):
    # As clip-retrieval does it, captions and more columns included.
    frame = pd.DataFrame({"image_path": PATHS, "caption": ["猫", "狗", "海"], "width": [1, 2, 3]})
    frame.to_parquet(folder / "pandas.parquet")
    frame.assign(image_path=frame.image_path.astype("category")).to_parquet(folder / "category.parquet")
    paths = {
        "string": pa.array(PATHS, pa.string()),
        "large-string": pa.array(PATHS, pa.large_string()),
        "string-view": pa.array(PATHS, pa.string_view()),
        "binary": pa.array([PATHS[0].encode(), b"/\xff\xfe.jpg", PATHS[2].encode()], pa.binary()),
        "dictionary": pa.array(PATHS).dictionary_encode(),
        "null": pa.array([PATHS[0], None, PATHS[2]], pa.string()),
        "list": pa.array([[path] for path in PATHS], pa.list_(pa.string())),
        "struct": pa.array([{"path": path} for path in PATHS]),
        "integer": pa.array([1, 2, 3], pa.int64()),
        "fixed": pa.array([b"abcd"] * 3, pa.binary(4)),
    }
    for name, column in paths.items():
        pq.write_table(pa.table({"image_path": column}), folder / f"{name}.parquet")
    required = pa.schema([pa.field("image_path", pa.string(), nullable=False)])
    table = pa.table({"image_path": PATHS}, schema=required)
    pq.write_table(table, folder / "required.parquet")
    for codec in ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]:
        pq.write_table(table, folder / f"{codec}.parquet", compression=codec)
    pq.write_table(table, folder / "groups.parquet", row_group_size=1)
    pq.write_table(table, folder / "pages-2.parquet", data_page_version="2.0", compression="zstd")
    for encoding in ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"]:
        name = encoding.lower().replace("_", "-")
        pq.write_table(
            table, folder / f"{name}.parquet", use_dictionary=False, column_encoding={"image_path": encoding}
        )
    pq.write_table(pa.table({"url": PATHS, "caption": PATHS}), folder / "no-column.parquet")
    # Numbers with a gap are floats to pandas; of the picture on the web, the table says more.
    frame = pd.DataFrame({"image_path": PATHS, "width": [640, 0, 1], "height": [480, 3, 2], "original_width": 6400})
    frame.assign(height=[480, None, 2]).to_parquet(folder / "sizes.parquet")
    taken = pd.Series(["2023-05-01 14:00:00.5", None, "1969-12-31 23:59:59.25"])
    frame = pd.DataFrame({"image_path": PATHS, "width": 640, "height": 480})
    for unit in ["ns", "us", "ms"]:
        times = pd.to_datetime(taken).astype(f"datetime64[{unit}]")
        frame.assign(taken=times).to_parquet(folder / f"taken-{unit}.parquet")
    other = frame.assign(width="wide", height=[[480]] * 3, taken=pd.to_datetime(taken, utc=True))
    other.to_parquet(folder / "other-columns.parquet")
    # 256 MB of one letter, in some kilobytes.
    bomb = pa.table({"image_path": pa.array(["/" + "a" * (1 << 28), "/b", "/c"], pa.large_string())})
    pq.write_table(bomb, folder / "bomb.parquet", compression="zstd", use_dictionary=False, write_statistics=False)


def main():
    folder = Path(sys.argv[1])
    for kind, make in [("npy", arrays), ("parquet", tables)]:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        make(folder / kind)


main()
