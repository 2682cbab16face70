"""Files written by pydicom, and a few that it brings."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import DATASETS, cache
from benchmarks.datasets.pictures import DEPTH, PictureError, Rules, decode, is_picture, look
from tests.benchmarks.datasets.trees import noise, tree

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: pip install 'pgrad[dicom]'")


def written(path, values, **tags):
    """An uncompressed file of one picture, or of several behind one another."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    bits = 8 * values.dtype.itemsize
    settings = {
        "Rows": values.shape[-2],
        "Columns": values.shape[-1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(np.issubdtype(values.dtype, np.signedinteger)),
        "PixelData": values.tobytes(),
        **tags,
    }
    for name, value in settings.items():
        setattr(content, name, value)
    content.save_as(path, enforce_file_format=True)
    return path


def middle(path, **rules):
    found = decode(path, Rules(4, **rules))
    assert found.shape == (3, 4, 4)
    assert found.dtype == np.float32
    assert np.ptp(found) < 1e-6
    return float(found[0, 0, 0])


def test_the_stored_bits_are_the_depth(tmp_path):
    path = written(tmp_path / "x.dcm", np.full((6, 8), 2048, dtype=np.uint16), BitsStored=12, HighBit=11)
    assert middle(path) == pytest.approx(2048 / 4095, abs=1e-5)
    assert look(path).kind == "DICOM, grey of 12 bits"
    assert middle(path, span=(0.0, 8192.0)) == pytest.approx(0.25, abs=1e-5)


def test_a_window_goes_before_the_depth(tmp_path):
    """The standard's example for C.11.2.1.2: centre c and width w begin at c - 0.5 - (w - 1) / 2."""
    values = np.full((6, 8), 1064, dtype=np.uint16)
    path = written(tmp_path / "x.dcm", values, WindowCenter=40, WindowWidth=401, RescaleSlope=1, RescaleIntercept=-1024)
    assert look(path).declared
    assert look(path).most == 40.0
    assert look(path).span == (-160.5, 239.5)
    assert middle(path) == pytest.approx((40 + 160.5) / 400, abs=1e-5)
    assert middle(path, span=(0.0, 80.0)) == pytest.approx(0.5, abs=1e-5)
    assert middle(path, span=DEPTH) == pytest.approx(1064 / 65535, abs=1e-5)


def test_several_windows_and_an_exact_one(tmp_path):
    values = np.full((6, 8), 50, dtype=np.uint8)
    several = written(tmp_path / "x.dcm", values, WindowCenter=[50, 100], WindowWidth=[101, 201])
    assert look(several).span == (-0.5, 99.5)
    exact = written(tmp_path / "y.dcm", values, WindowCenter=50, WindowWidth=100, VOILUTFunction="LINEAR_EXACT")
    assert look(exact).span == (0.0, 100.0)
    curved = written(tmp_path / "z.dcm", values, WindowCenter=50, WindowWidth=100, VOILUTFunction="SIGMOID")
    with pytest.raises(PictureError, match="its window is SIGMOID"):
        look(curved)


def test_signed_numbers_and_dark_large_values(tmp_path):
    signed = written(tmp_path / "x.dcm", np.full((6, 8), -1000, dtype=np.int16))
    assert look(signed).most == -1000.0
    assert middle(signed, span=(-2000.0, 0.0)) == pytest.approx(0.5)
    dark = written(tmp_path / "y.dcm", np.full((6, 8), 51, dtype=np.uint8), PhotometricInterpretation="MONOCHROME1")
    assert middle(dark) == pytest.approx(0.8, abs=1e-5)


def test_colours(tmp_path):
    values = np.broadcast_to(np.array([255, 0, 51], dtype=np.uint8), (6, 8, 3)).copy()
    tags = {"Rows": 6, "Columns": 8, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    found = decode(written(tmp_path / "x.dcm", values, **tags), Rules(4))
    assert found.dtype == np.uint8
    assert found[:, 0, 0].tolist() == [255, 0, 51]


def test_several_pictures_are_counted(tmp_path):
    values = np.stack([np.full((6, 8), grey, dtype=np.uint8) for grey in (51, 204)])
    path = written(tmp_path / "x.dcm", values, NumberOfFrames=2)
    assert look(path).frames == 2
    assert middle(path) == pytest.approx(0.2, abs=1e-5)


def test_a_file_without_an_ending_is_known(tmp_path):
    path = written(tmp_path / "IM000001", np.full((6, 8), 51, dtype=np.uint8))
    assert is_picture(path)
    assert middle(path) == pytest.approx(0.2, abs=1e-5)


def test_what_holds_no_picture_is_named(tmp_path):
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no DICOM")
    with pytest.raises(PictureError, match=r"broken\.dcm cannot be read as a picture in DICOM"):
        look(broken)
    path = written(tmp_path / "short.dcm", np.full((64, 64), 7, dtype=np.uint16))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(PictureError, match=r"short\.dcm cannot be read as a picture in DICOM"):
        look(path)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm"])
def test_files_that_pydicom_brings(name):
    from pydicom.data import get_testdata_file

    path = get_testdata_file(name, download=False)
    values = pydicom.dcmread(path).pixel_array
    low, high = float(values.min()), float(values.max())
    found = look(Path(path))
    intercept = float(pydicom.dcmread(path).get("RescaleIntercept", 0))
    assert (found.least, found.most) == (low + intercept, high + intercept)
    assert decode(Path(path), Rules(16, span=(found.least, found.most))).std() > 0.05


def test_a_palette():
    from pydicom.data import get_testdata_file

    found = decode(Path(get_testdata_file("examples_palette.dcm", download=False)), Rules(16))
    assert found.dtype == np.uint8
    assert found.std() > 10


def test_a_folder_of_files_without_endings(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))

    def save(seed, path):
        values = noise(seed, high=4096, dtype=np.uint16)
        written(path.with_suffix(""), values, BitsStored=12, HighBit=11)

    root = tree(tmp_path / "mine", save)
    (root / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    entry = DATASETS[f"folder:{root}?size=8"]
    assert entry.inventory().findings == ()
    data = entry.factory()
    assert [len(domain) for domain in data.domains] == [12, 12, 12]
    assert 0.3 < float(data.domains[0].inputs.mean()) < 0.7
