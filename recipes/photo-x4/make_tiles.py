"""Cuts the photographs of pictures.tsv into tiles for training.

    python3 make_tiles.py SOURCES FOLDER

SOURCES holds the repositories of the list as git clones (owner/name), and, as `debian`, the unpacked packages gnome-backgrounds, lomiri-wallpapers,
mate-backgrounds, plasma-workspace-wallpapers and ukui-wallpapers. What is missing there is named and left out. Every photograph is shrunk as the
list says, so that what compression left in it vanishes, and cut into tiles of 512x512, of which those with detail are kept. Needs Pillow and NumPy.
"""

import csv
import io
import pathlib
import subprocess
import sys

import numpy
from PIL import Image

SIDE = 512
# The mean of the absolute Laplacian of the luma, in levels: four fifths of the crops of CLIC and CID22 lie above it.
LEAST_DETAIL = 8.0


def read(sources, repository, path):
    if repository == "debian":
        file = sources / "debian" / path
        return file.read_bytes() if file.is_file() else None
    git = ["git", "-C", str(sources / repository)]
    # Some photographs have been taken out of their repository since: its history has them.
    found = subprocess.run([*git, "log", "--all", "--diff-filter=AM", "-n1", "--format=%H", "--", path], capture_output=True, text=True)
    shown = subprocess.run([*git, "show", f"{found.stdout.strip()}:{path}"], capture_output=True)
    return shown.stdout if shown.returncode == 0 else None


def has_detail(tile):
    luma = numpy.asarray(tile.convert("L"), numpy.float32)
    middle = luma[1:-1, 1:-1]
    laplacian = 4 * middle - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    return numpy.abs(laplacian).mean() > LEAST_DETAIL


def tiles(picture):
    width, height = picture.size
    side_x, side_y = min(SIDE, width), min(SIDE, height)
    left, top = width % side_x // 2, height % side_y // 2
    for y in range(top, top + height - height % side_y, side_y):
        for x in range(left, left + width - width % side_x, side_x):
            yield picture.crop((x, y, x + side_x, y + side_y))


def main(sources, folder):
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with open(pathlib.Path(__file__).with_name("pictures.tsv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for number, row in enumerate(rows):
        data = read(sources, row["repository"], row["path"])
        if data is None:
            print(f"missing: {row['repository']} {row['path']}", file=sys.stderr)
            continue
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        shrink = float(row["shrink"])
        picture = picture.resize((round(picture.width / shrink), round(picture.height / shrink)), Image.Resampling.LANCZOS)
        for part, tile in enumerate(tiles(picture)):
            if has_detail(tile):
                tile.save(folder / f"{number:03}-{part:02}.png")
                count += 1
    print(f"{count} tiles of {len(rows)} photographs in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
