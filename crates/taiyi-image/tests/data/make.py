"""Draws the test pictures of taiyi-image and the pixels they stand for.

    python make.py          (Pillow 13, NumPy)

Every picture NAME has an expected/NAME.ppm: what a reader should see, upright, in 8-bit RGB, with
transparency over white. For lossy formats that is what Pillow (libjpeg-turbo, libwebp) decodes; for
lossless ones it is computed here from the samples that went in.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent
WIDTH, HEIGHT = 40, 24


def scene() -> np.ndarray:
    """A picture without any symmetry: two gradients, a dark bar on the left, a red spot in a corner."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    rgb = np.stack([x * 255 // (WIDTH - 1), y * 255 // (HEIGHT - 1), (x + 2 * y) * 255 // 100 % 256], -1)
    rgb[4:20, 2:8] = (20, 30, 60)
    rgb[16:24, 32:40] = (250, 10, 10)
    return rgb.astype(np.uint8)


def alpha() -> np.ndarray:
    """Opaque on the left, fading to clear on the right."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.clip(255 - (x - 12) * 12, 0, 255).astype(np.uint8) + 0 * y.astype(np.uint8)


RGB = scene()
ALPHA = alpha()
GREY = np.asarray(Image.fromarray(RGB).convert("L"))


def over_white(samples: np.ndarray, opacity: np.ndarray, maximum: int) -> np.ndarray:
    samples, opacity = samples.astype(np.float64) / maximum, opacity.astype(np.float64)[..., None] / maximum
    return np.floor((samples * opacity + 1 - opacity) * 255 + 0.5).astype(np.uint8)


def grey_to_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, -1)


def expect(name: str, rgb: np.ndarray) -> None:
    (HERE / "expected").mkdir(exist_ok=True)
    Image.fromarray(np.ascontiguousarray(rgb), "RGB").save(HERE / "expected" / f"{name}.ppm")


def save(name: str, image: Image.Image, expected: np.ndarray | None = None, **options) -> None:
    image.save(HERE / name, **options)
    if expected is None:  # lossy: what the reference decoder sees
        with Image.open(HERE / name) as file:
            expected = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    expect(name, expected)


def write(name: str, data: bytes, expected: np.ndarray | None) -> None:
    (HERE / name).write_bytes(data)
    if expected is not None:
        expect(name, expected)


def png(samples: np.ndarray, color_type: int, depth: int, chunks: list[tuple[bytes, bytes]] = []) -> bytes:
    """PNGs that Pillow cannot write; samples are [height, width, channels]."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    height, width = samples.shape[:2]
    dtype = ">u2" if depth == 16 else np.uint8
    rows = b"".join(b"\0" + row.astype(dtype).tobytes() for row in samples)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))
            + b"".join(chunk(*c) for c in chunks) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def turned(orientation: int) -> Image.Image:
    """The stored form of the scene for an EXIF orientation: what its undoing makes upright again."""
    undo = {1: [], 2: [Image.Transpose.FLIP_LEFT_RIGHT], 3: [Image.Transpose.ROTATE_180],
            4: [Image.Transpose.FLIP_TOP_BOTTOM], 5: [Image.Transpose.TRANSPOSE], 6: [Image.Transpose.ROTATE_90],
            7: [Image.Transpose.TRANSVERSE], 8: [Image.Transpose.ROTATE_270]}
    image = Image.fromarray(RGB)
    for step in undo[orientation]:
        image = image.transpose(step)
    return image


def exif(orientation: int) -> Image.Exif:
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def jpegs() -> None:
    image = Image.fromarray(RGB)
    for name, subsampling in [("444", 0), ("422", 1), ("420", 2)]:
        save(f"baseline_{name}.jpg", image, quality=90, subsampling=subsampling)
    # Not a multiple of anything, and in pieces.
    odd = image.resize((93, 61), Image.Resampling.BICUBIC)
    save("restart_420.jpg", odd, quality=90, subsampling=2, restart_marker_blocks=2)
    save("progressive.jpg", image, quality=90, progressive=True)
    save("grey.jpg", Image.fromarray(GREY), quality=90)
    # Pillow writes CMYK inverted, with Adobe's marker, as Photoshop does.
    save("cmyk.jpg", image.convert("CMYK"), quality=95)
    # The same numbers, declared YCCK: the colours are odd, but equally odd for every correct reader.
    data = bytearray((HERE / "cmyk.jpg").read_bytes())
    data[data.index(b"Adobe") + 11] = 2
    (HERE / "ycck.jpg").write_bytes(data)
    with Image.open(HERE / "ycck.jpg") as file:
        expect("ycck.jpg", np.asarray(file.convert("RGB")))
    for orientation in range(1, 9):
        save(f"orientation_{orientation}.jpg", turned(orientation), RGB, quality=100, subsampling=0,
             exif=exif(orientation))


def photograph() -> None:
    """A JPEG with all the EXIF of a travelling camera."""
    data = Image.Exif()
    data[0x010F], data[0x0110], data[0x0112] = "NIKON CORPORATION", "NIKON D90  ", 6
    data[0x0132] = "2021:12:24 18:00:00"
    data.get_ifd(0x8769).update({0x9003: "2019:05:01 13:37:42", 0x9004: "2019:05:02 00:00:00", 0x9011: "+08:00"})
    data.get_ifd(0x8825).update({1: "N", 2: (39.0, 54.0, 59.76), 3: "E", 4: (116.0, 23.0, 29.4), 5: b"\0", 6: 43.5})
    save("travel.jpg", turned(6), RGB, quality=100, subsampling=0, exif=data)


def pngs() -> None:
    image = Image.fromarray(RGB)
    clear = np.dstack([RGB, ALPHA])
    save("rgb.png", image, RGB)
    save("grey.png", Image.fromarray(GREY), grey_to_rgb(GREY))
    save("rgba.png", Image.fromarray(clear), over_white(RGB, ALPHA, 255))
    grey_alpha = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)])
    save("grey_alpha.png", grey_alpha, over_white(grey_to_rgb(GREY), ALPHA, 255))
    bits = (GREY > 128).astype(np.uint8) * 255
    save("bits.png", Image.fromarray(bits).convert("1"), grey_to_rgb(bits))
    few = image.quantize(16, dither=Image.Dither.NONE)
    save("palette.png", few, np.asarray(few.convert("RGB")))
    index = np.asarray(few)
    opacity = (index != index[0, 0]).astype(np.uint8) * 255
    save("palette_transparent.png", few, over_white(np.asarray(few.convert("RGB")), opacity, 255),
         transparency=int(index[0, 0]))
    fine = (RGB.astype(np.uint32) * 257 + np.arange(WIDTH)[None, :, None] * 5 % 120).clip(0, 65535).astype(np.uint16)
    fine_grey, fine_alpha = fine[..., 1:2], ALPHA.astype(np.uint16) * 257
    rounded = np.floor(fine / 257 + 0.5).astype(np.uint8)
    write("rgb16.png", png(fine, 2, 16), rounded)
    write("grey16.png", png(fine_grey, 0, 16), grey_to_rgb(rounded[..., 1]))
    write("rgba16.png", png(np.dstack([fine, fine_alpha]), 6, 16), over_white(fine, fine_alpha, 65535))
    write("grey_alpha16.png", png(np.dstack([fine_grey, fine_alpha]), 4, 16),
          over_white(np.repeat(fine_grey, 3, -1), fine_alpha, 65535))
    key = tuple(int(v) for v in RGB[0, 0])
    opaque = (RGB != RGB[0, 0]).any(-1).astype(np.uint8) * 255
    write("colour_key.png", png(RGB, 2, 8, [(b"tRNS", struct.pack(">HHH", *key))]), over_white(RGB, opaque, 255))
    save("animated.png", image, RGB, save_all=True, append_images=[ImageOps.invert(image)])
    save("orientation_6.png", turned(6), RGB, exif=exif(6))
    # A header that promises 65,535 x 65,535 pixels, and hardly anything behind it.
    write("bomb.png", png(np.zeros((0, 0, 3)), 2, 8).replace(
        struct.pack(">IIBBBBB", 0, 0, 8, 2, 0, 0, 0) + struct.pack(">I", zlib.crc32(b"IHDR" + struct.pack(
            ">IIBBBBB", 0, 0, 8, 2, 0, 0, 0))),
        struct.pack(">IIBBBBB", 65535, 65535, 8, 2, 0, 0, 0) + struct.pack(">I", zlib.crc32(
            b"IHDR" + struct.pack(">IIBBBBB", 65535, 65535, 8, 2, 0, 0, 0)))), None)


def webps() -> None:
    image, clear = Image.fromarray(RGB), Image.fromarray(np.dstack([RGB, ALPHA]))
    save("lossy.webp", image, quality=90)
    save("lossless.webp", image, RGB, lossless=True)
    save("alpha_lossless.webp", clear, over_white(RGB, ALPHA, 255), lossless=True, exact=True)
    clear.save(HERE / "alpha_lossy.webp", quality=90, exact=True)
    with Image.open(HERE / "alpha_lossy.webp") as file:
        seen = np.asarray(file.convert("RGBA"))
    expect("alpha_lossy.webp", over_white(seen[..., :3], seen[..., 3], 255))
    save("animated.webp", image, RGB, save_all=True, append_images=[ImageOps.invert(image)], lossless=True)
    save("orientation_6.webp", turned(6), RGB, lossless=True, exif=exif(6))


def gifs() -> None:
    few = Image.fromarray(RGB).quantize(32, dither=Image.Dither.NONE)
    index, seen = np.asarray(few), np.asarray(few.convert("RGB"))
    save("still.gif", few, seen)
    opacity = (index != index[0, 0]).astype(np.uint8) * 255
    save("transparent.gif", few, over_white(seen, opacity, 255), transparency=int(index[0, 0]))
    other = Image.fromarray(255 - RGB).quantize(32, dither=Image.Dither.NONE)
    save("animated.gif", few, seen, save_all=True, append_images=[other], duration=100)


def bitmaps() -> None:
    image = Image.fromarray(RGB)
    few = image.quantize(32, dither=Image.Dither.NONE)
    save("rgb.bmp", image, RGB)
    save("palette.bmp", few, np.asarray(few.convert("RGB")))
    save("grey.bmp", Image.fromarray(GREY), grey_to_rgb(GREY))


def tiffs() -> None:
    image = Image.fromarray(RGB)
    for compression in ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"]:
        save(f"{compression.removeprefix('tiff_')}.tif", image, RGB, compression=compression)
    save("grey.tif", Image.fromarray(GREY), grey_to_rgb(GREY))
    fine = GREY.astype(np.uint16) * 257 + 3
    save("grey16.tif", Image.fromarray(fine.clip(0, 65535).astype(np.uint16)), grey_to_rgb(GREY))
    save("rgba.tif", Image.fromarray(np.dstack([RGB, ALPHA])), over_white(RGB, ALPHA, 255))
    cmyk = image.convert("CMYK")
    save("cmyk.tif", cmyk, np.asarray(cmyk.convert("RGB")))
    few = image.quantize(16, dither=Image.Dither.NONE)
    save("palette.tif", few, np.asarray(few.convert("RGB")))
    save("orientation_6.tif", turned(6), RGB, exif=exif(6))


def portable_maps() -> None:
    bits = (GREY > 128).astype(np.uint8)
    size = f"{WIDTH} {HEIGHT}"
    text = lambda samples: "\n".join(" ".join(str(v) for v in row.ravel()) for row in samples).encode() + b"\n"
    write("plain.pbm", f"P1\n# comment\n{size}\n".encode() + text(1 - bits), grey_to_rgb(bits * 255))
    write("plain.pgm", f"P2 {size} 255\n".encode() + text(GREY), grey_to_rgb(GREY))
    write("plain.ppm", f"P3\n{size}\n255\n".encode() + text(RGB), RGB)
    write("raw.pbm", f"P4\n{size}\n".encode() + np.packbits(1 - bits, axis=1).tobytes(), grey_to_rgb(bits * 255))
    coarse = GREY // 16
    write("fifteen.pgm", f"P5 {size} 15\n".encode() + coarse.tobytes(), grey_to_rgb(coarse * 17))
    write("sixteen.pgm", f"P5 {size} 65535\n".encode() + (GREY.astype(">u2") * 257).tobytes(), grey_to_rgb(GREY))
    write("raw.ppm", f"P6\n{size}\n255\n".encode() + RGB.tobytes(), RGB)
    write("rgba.pam", f"P7\nWIDTH {WIDTH}\nHEIGHT {HEIGHT}\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n".encode()
          + np.dstack([RGB, ALPHA]).tobytes(), over_white(RGB, ALPHA, 255))


def icons() -> None:
    square = np.ascontiguousarray(RGB[:, :24])
    opacity = np.ascontiguousarray(ALPHA[:, 10:34])
    clear = Image.fromarray(np.dstack([square, opacity]))
    small = Image.new("RGBA", (16, 16), "blue")
    seen = over_white(square, opacity, 255)
    save("png_inside.ico", clear, seen, sizes=[(16, 16), (24, 24)], append_images=[small])
    save("bitmap_inside.ico", clear, seen, sizes=[(16, 16), (24, 24)], append_images=[small], bitmap_format="bmp")
    # An opaque PNG inside, and the small picture last and deeper by the directory's word.
    body, other = png(square, 2, 8), png(np.zeros((16, 16, 4), np.uint8), 6, 8)
    entry = lambda side, depth, data, at: struct.pack("<BBBBHHII", side, side, 0, 0, 1, depth, len(data), at)
    start = 6 + 2 * 16
    write("opaque_png_inside.ico", struct.pack("<HHH", 0, 1, 2) + entry(24, 24, body, start)
          + entry(16, 32, other, start + len(body)) + body + other, square)
    # A cursor: the same bytes, but hot spots where an icon has planes and depth.
    data = bytearray((HERE / "bitmap_inside.ico").read_bytes())
    data[2] = 2
    for n in range(2):
        data[6 + 16 * n + 4:6 + 16 * n + 8] = struct.pack("<HH", 3 + n, 300 - 280 * n)
    write("cursor.ico", bytes(data), seen)


def others() -> None:
    image = Image.fromarray(RGB)
    save("rgb.tga", image, RGB)
    save("runs.tga", image, RGB, compression="tga_rle")
    save("rgba.tga", Image.fromarray(np.dstack([RGB, ALPHA])), over_white(RGB, ALPHA, 255))
    pixels = b"".join(b"\xfe" + bytes(p) for p in RGB.reshape(-1, 3).tolist())
    write("rgb.qoi", b"qoif" + struct.pack(">IIBB", WIDTH, HEIGHT, 3, 0) + pixels + b"\0" * 7 + b"\1", RGB)


if __name__ == "__main__":
    for draw in [jpegs, photograph, pngs, webps, gifs, bitmaps, tiffs, portable_maps, icons, others]:
        draw()
