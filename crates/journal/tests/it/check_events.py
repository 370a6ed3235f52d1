"""Prints what TensorBoard reads in a folder: scalars as the bits of their f32, pictures with size and first sample.

Two of its readers are asked, which must agree: the one for scripts, and the one behind its pages.
"""

import io
import struct
import sys

from PIL import Image
from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
from tensorboard.util import tensor_util

EVERYTHING = {"scalars": 0, "images": 0, "tensors": 0}


def scalar_line(tag, step, value):
    return f"scalar {tag} {step} {struct.unpack('<I', struct.pack('<f', value))[0]:08x}"


def picture_line(tag, step, png):
    with Image.open(io.BytesIO(png)) as picture:
        picture.load()
        return f"picture {tag} {step} {picture.width}x{picture.height} {picture.getpixel((0, 0))}"


def script_lines(folder):
    reader = event_accumulator.EventAccumulator(folder, size_guidance=EVERYTHING)
    reader.Reload()
    for tag in reader.Tags()["scalars"]:
        yield from (scalar_line(tag, event.step, event.value) for event in reader.Scalars(tag))
    for tag in reader.Tags()["images"]:
        for event in reader.Images(tag):
            line = picture_line(tag, event.step, event.encoded_image_string)
            assert f" {event.width}x{event.height} " in line, (event.width, event.height, line)
            yield line


def page_lines(folder):
    reader = plugin_event_accumulator.EventAccumulator(folder, tensor_size_guidance={"scalars": 0, "images": 0})
    reader.Reload()
    for tag in reader.Tags()["tensors"]:
        plugin = reader.SummaryMetadata(tag).plugin_data.plugin_name
        for event in reader.Tensors(tag):
            array = tensor_util.make_ndarray(event.tensor_proto)
            if plugin == "scalars":
                yield scalar_line(tag, event.step, array.item())
            else:
                assert plugin == "images", plugin
                # Width, height, and the pictures.
                yield picture_line(tag, event.step, array[2])


def main():
    lines = sorted(script_lines(sys.argv[1]))
    others = sorted(page_lines(sys.argv[1]))
    assert lines == others, (lines, others)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
