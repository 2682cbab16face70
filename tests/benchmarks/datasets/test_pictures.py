"""Made files of every depth and mode, and the numbers that come out."""

import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from benchmarks.datasets.pictures import DEPTH, PictureError, Rules, decode, is_picture, look


def middle(path, **rules):
    """The numbers of a picture of one colour, in 0..1."""
    found = decode(path, Rules(4, **rules))
    assert found.shape == (3, 4, 4)
    values = found / 255 if found.dtype == np.uint8 else found
    assert np.ptp(values.reshape(3, -1), axis=1).max() < 1e-6
    return values[:, 0, 0].tolist()


def saved(tmp_path, values, ending, **options):
    path = tmp_path / f"picture.{ending}"
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("dtype", "ending", "value", "span", "wanted"),
    [
        (np.uint16, "png", 65535, None, 1.0),
        (np.uint16, "png", 13107, None, 0.2),
        (np.uint16, "png", 2150, (300.0, 4000.0), 0.5),
        (np.uint16, "png", 5000, (300.0, 4000.0), 1.0),
        (np.uint16, "tif", 13107, None, 0.2),
        (np.uint16, "tif", 2150, (300.0, 4000.0), 0.5),
        (np.uint16, "jp2", 13107, None, 0.2),
        (np.uint16, "pgm", 13107, None, 0.2),
        (np.int32, "tif", 0, None, 0.5),
        (np.int32, "tif", 2150, (300.0, 4000.0), 0.5),
        (np.float32, "tif", 0.25, None, 0.25),
        (np.float32, "tif", 2150.0, (300.0, 4000.0), 0.5),
        (np.float32, "tif", 1.25, None, 1.0),
        (np.float32, "pfm", 0.25, None, 0.25),
    ],
)
def test_deep_greys_are_scaled_by_their_depth_or_the_given_span(tmp_path, dtype, ending, value, span, wanted):
    path = saved(tmp_path, np.full((6, 8), value, dtype=dtype), ending)
    assert look(path).deep
    assert middle(path, span=span) == pytest.approx([wanted] * 3, abs=1e-5)


def test_deep_greys_keep_more_than_eight_bits(tmp_path):
    values = np.repeat(np.array([[1000, 1010, 1020, 1030]], dtype=np.uint16), 4, axis=0)
    found = decode(saved(tmp_path, values, "png"), Rules(4))
    np.testing.assert_allclose(found[0], values / 65535, atol=1e-7)


def test_values_are_cut_off_before_they_are_averaged(tmp_path):
    """One white spot of a metal plate does not brighten its surroundings beyond the span."""
    values = np.zeros((4, 4), dtype=np.uint16)
    values[0, 0] = 65535
    found = decode(saved(tmp_path, values, "png"), Rules(1, span=(0.0, 100.0)))
    assert 0.02 < found[0, 0, 0] < 0.1  # a sixteenth, by the weights of the filter


def test_unsigned_numbers_of_32_bits(tmp_path):
    """Pillow reads them as signed ones; 3,000,000,000 is none of these."""
    path = saved(tmp_path, np.full((4, 4), -1294967296, dtype=np.int32), "tif")  # the same bits as 3e9
    content = path.read_bytes()
    signed = struct.pack("<HHII", 339, 3, 1, 2)
    assert signed in content
    path.write_bytes(content.replace(signed, struct.pack("<HHII", 339, 3, 1, 1)))
    assert middle(path) == pytest.approx([3e9 / (2**32 - 1)] * 3, abs=1e-6)


def test_signed_numbers_of_16_bits(tmp_path):
    path = saved(tmp_path, np.full((4, 4), 65536 - 1000, dtype=np.uint16), "tif")
    content = path.read_bytes()
    # Pillow writes no signed numbers: the tag SampleFormat stands in the place of one that it can write.
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[339] = 2
    path = saved(tmp_path, np.full((4, 4), 65536 - 1000, dtype=np.uint16), "tif", tiffinfo=tags)
    assert path.read_bytes() != content
    assert look(path).span == (-32768.0, 32767.0)
    assert look(path).most == -1000.0
    assert middle(path, span=(-1000.0, 1000.0)) == [0.0, 0.0, 0.0]
    assert middle(path, span=(-2000.0, 0.0)) == pytest.approx([0.5] * 3)


def tagged(tmp_path, value, dtype=np.uint16, **tags):
    numbers = {"least": 340, "most": 341, "photometric": 262}
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for name, found in tags.items():
        info[numbers[name]] = found
    return saved(tmp_path, np.full((4, 4), value, dtype=dtype), "tif", tiffinfo=info)


def test_a_declared_span_goes_before_the_depth_and_behind_the_users(tmp_path):
    path = tagged(tmp_path, 2150, least=300, most=4000)
    assert look(path).declared
    assert middle(path) == pytest.approx([0.5] * 3)
    assert middle(path, span=(0.0, 4300.0)) == pytest.approx([0.5] * 3)
    assert middle(path, span=(0.0, 2150.0)) == [1.0, 1.0, 1.0]
    assert middle(path, span=DEPTH) == pytest.approx([2150 / 65535] * 3)


def test_deep_greys_whose_large_values_are_dark_are_turned(tmp_path):
    assert middle(tagged(tmp_path, 13107, photometric=0)) == pytest.approx([0.8] * 3, abs=1e-5)


def test_twelve_bits_of_a_tiff(tmp_path):
    """Two numbers of twelve bits in three bytes, as cameras for microscopes write them."""
    pixels = bytes([0x80, 0x08, 0x00]) * 2  # 0x800 twice, then again
    width, height = 2, 2
    entries = [
        (256, 3, width), (257, 3, height), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
        (278, 3, 2), (279, 4, len(pixels)),
    ]  # fmt: skip
    head = struct.pack("<2sHI", b"II", 42, 8 + len(pixels))
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in entries
    )
    path = tmp_path / "camera.tif"
    path.write_bytes(head + pixels + directory + struct.pack("<I", 0))
    assert look(path).span == (0.0, 4095.0)
    assert middle(path) == pytest.approx([0x800 / 4095] * 3, abs=1e-3)


def test_values_that_are_not_finite_are_refused(tmp_path):
    values = np.full((4, 4), 0.5, dtype=np.float32)
    values[1, 2] = np.nan
    path = saved(tmp_path, values, "tif")
    for act in (look, lambda file: decode(file, Rules(4))):
        with pytest.raises(PictureError, match=r"picture\.tif holds 1 values that are not finite"):
            act(path)


@pytest.mark.parametrize(
    ("mode", "colour", "ending", "wanted"),
    [
        ("1", 1, "png", (1.0, 1.0, 1.0)),
        ("L", 51, "png", (0.2, 0.2, 0.2)),
        ("RGB", (255, 0, 51), "png", (1.0, 0.0, 0.2)),
        ("CMYK", (0, 255, 255, 0), "tif", (1.0, 0.0, 0.0)),
        ("YCbCr", (76, 85, 255), "tif", (1.0, 0.0, 0.0)),
        ("LAB", (255, 128, 128), "tif", (1.0, 1.0, 1.0)),
        ("RGB", (255, 0, 51), "bmp", (1.0, 0.0, 0.2)),
        ("RGB", (255, 0, 51), "ppm", (1.0, 0.0, 0.2)),
        ("RGB", (255, 0, 51), "tga", (1.0, 0.0, 0.2)),
        ("RGB", (255, 0, 51), "webp", (1.0, 0.0, 0.2)),
        ("L", 51, "jpg", (0.2, 0.2, 0.2)),
    ],
)
def test_modes_of_eight_bits(tmp_path, mode, colour, ending, wanted):
    options = {"lossless": True} if ending == "webp" else {}
    path = saved(tmp_path, Image.new(mode, (8, 8), colour), ending, **options)
    assert decode(path, Rules(4)).dtype == np.uint8
    assert middle(path) == pytest.approx(wanted, abs=0.02)


def test_a_palette_shows_its_colours(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 255, 0, 51])
    assert middle(saved(tmp_path, image, "png")) == pytest.approx([1.0, 0.0, 0.2])


def stroke(mode, ink, paper):
    """Ink in the left half, nothing in the right one."""
    image = Image.new(mode, (8, 8), paper)
    image.paste(ink, (0, 0, 4, 8))
    return image


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (stroke("RGBA", (0, 0, 0, 255), (0, 0, 0, 0)), {}),
        (stroke("LA", (0, 255), (0, 0)), {}),
        (stroke("P", 1, 0), {"transparency": 0}),
        (stroke("L", 0, 7), {"transparency": 7}),
        (stroke("RGB", (0, 0, 0), (7, 7, 7)), {"transparency": (7, 7, 7)}),
    ],
)
def test_transparency_lies_on_the_background(tmp_path, image, options):
    path = saved(tmp_path, image, "png", **options)
    assert look(path).kind.endswith("transparency")
    found = decode(path, Rules(8))
    assert (found[:, :, :4] < 10).all()
    assert (found[:, :, 4:] == 255).all()
    red = decode(path, Rules(8, background=(200, 0, 0)))
    assert red[:, 4, 6].tolist() == [200, 0, 0]


def test_half_transparent_ink_is_half_seen(tmp_path):
    path = saved(tmp_path, Image.new("RGBA", (4, 4), (0, 0, 0, 51)), "png")
    assert middle(path) == pytest.approx([0.8] * 3, abs=0.01)


def test_ink_of_the_backgrounds_colour_is_refused_by_name(tmp_path):
    path = saved(tmp_path, stroke("RGBA", (255, 255, 255, 255), (0, 0, 0, 0)), "png")
    with pytest.raises(PictureError, match=r"picture\.png is as its background.*say background=black"):
        decode(path, Rules(8))
    assert (decode(path, Rules(8, background=(0, 0, 0)))[0, 4, :4] == 255).all()


def test_what_is_wholly_transparent_is_refused(tmp_path):
    path = saved(tmp_path, Image.new("RGBA", (4, 4), (9, 9, 9, 0)), "png")
    with pytest.raises(PictureError, match="nothing of it would be seen"):
        decode(path, Rules(4))


def test_transparency_of_a_deep_grey(tmp_path):
    values = np.full((8, 8), 60000, dtype=np.uint16)
    values[:, :4] = 0
    path = saved(tmp_path, values, "png", transparency=60000)
    found = decode(path, Rules(8, background=(0, 0, 255)))
    assert found[0, 4, 6] == pytest.approx(0.114, abs=1e-3)
    assert found[0, 4, 1] == pytest.approx(0.0, abs=1e-3)


def test_pages_and_films_are_counted(tmp_path):
    pages = [Image.new("L", (8, 8), grey) for grey in (51, 102, 204)]
    for ending in ("tif", "gif", "png", "webp"):
        path = saved(tmp_path, pages[0], ending, save_all=True, append_images=pages[1:])
        assert look(path).frames == 3, ending
        assert middle(path) == pytest.approx([0.2] * 3, abs=0.02), ending


def test_what_a_camera_puts_behind_its_picture_is_no_page(tmp_path):
    pages = [Image.new("RGB", (8, 8), (grey,) * 3) for grey in (51, 204)]
    path = saved(tmp_path, pages[0], "mpo", save_all=True, append_images=pages[1:])
    assert look(path).frames == 1
    assert middle(path) == pytest.approx([0.2] * 3, abs=0.02)


def test_a_picture_is_known_by_its_content_or_its_ending(tmp_path):
    Image.new("L", (8, 8), 51).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "IM0001")
    Image.new("L", (8, 8), 51).save(tmp_path / "y.png")
    (tmp_path / "y.png").rename(tmp_path / "y.JPG")  # named wrong, and a picture all the same
    (tmp_path / "notes.txt").write_text("P5 is the beginning of a picture too")
    (tmp_path / "volume.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tmp_path / "empty.jfif").write_bytes(b"")
    found = {path.name: is_picture(path) for path in tmp_path.iterdir()}
    assert found == {"IM0001": True, "y.JPG": True, "notes.txt": False, "volume.h5": False, "empty.jfif": True}
    assert middle(tmp_path / "IM0001") == middle(tmp_path / "y.JPG") == pytest.approx([0.2] * 3)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(30), b"BM" + bytes(60)])
def test_what_is_no_picture_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=r"broken\.png cannot be read as a picture"):
        look(path)


def test_what_ends_early_is_named(tmp_path):
    for ending in ("png", "jpg", "tif", "bmp"):
        values = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        path = saved(tmp_path, values, ending)
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(PictureError, match=rf"picture\.{ending} cannot be read as a picture"):
            decode(path, Rules(8))
