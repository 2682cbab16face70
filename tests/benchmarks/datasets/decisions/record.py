"""Records the fixtures again: ``python -m tests.benchmarks.datasets.decisions.record [NAME ...]``.

They are small parts of what the sets are made from, so that the tests need neither a network nor other packages. Whose
they are stands in fixtures/README.md.
"""

import io
import json
import lzma
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.datasets import Domain, MultiDomainData
from benchmarks.datasets.cache import folder
from benchmarks.datasets.decisions import job_power, tool_wheel
from benchmarks.datasets.decisions.packages import kept
from benchmarks.datasets.fetch import source_folder
from tests.benchmarks.datasets.decisions import battles

FOLDER = Path(__file__).with_name("fixtures")
DAYS = slice(24 * 100, 24 * 140)
EACH = 20
"""One of so many conversations is taken, and the one after it."""


def at_hand(package):
    """Whether a package's file is here already: what is fetched for nothing but a test would be a download."""
    own = source_folder()
    return (own is not None and (own / package.file_name).is_file()) or (
        folder() / "packages" / package.file_name
    ).is_file()


def weather():
    """Forty days of spring at the three sites."""
    hours = job_power.read(kept(job_power.WHEEL))
    found = {site: np.round(own[DAYS], 1).tolist() for site, own in hours.items()}
    return json.dumps(found, separators=(",", ":"), sort_keys=True).encode()


def tools():
    """Some conversations and the modules of the tools, as a wheel that holds nothing else; a text file of long answers
    that these conversations do not need is left without its texts.
    """
    buffer = io.BytesIO()
    modules = {"math_api", *(module for module, _ in tool_wheel.TOOLS.values())}
    with zipfile.ZipFile(kept(tool_wheel.WHEEL)) as wheel, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as out:
        code = tool_wheel.PACKAGE.replace(".", "/")
        for name in sorted(wheel.namelist()):
            content = wheel.read(name)
            if name == f"{code}/long_context.py":
                names = re.findall(rb"^([A-Z0-9_]+)\b[^=\n]*=", content, flags=re.MULTILINE)
                content = b"\n".join(b"%s = {}" % each for each in names)
            elif name.endswith("_multi_turn_base.json"):
                rows = content.splitlines()
                content = b"\n".join(row for number, row in enumerate(rows) if number % EACH < 2)
            elif name.startswith(f"{tool_wheel.DATA}/multi_turn_func_doc/"):
                if Path(name).stem not in modules:
                    continue
            elif not (name.startswith(f"{code}/") and Path(name).stem in modules) and not (
                name.endswith("/__init__.py") and code.startswith(Path(name).parent.as_posix())
            ):
                continue
            out.writestr(zipfile.ZipInfo(name, (2026, 3, 23, 0, 0, 0)), content)
    return buffer.getvalue()


def babyai(pixels=False):
    """Six tasks of each level as windows; needs minigrid."""
    from benchmarks.datasets.decisions.babyai import build

    data = build({"log": "mixed", "attempts": "ordered"}, tasks=6, pixels=pixels).data
    arrays = {"n_outputs": np.array(data.n_outputs)}
    for domain in data.domains:
        for what in ("inputs", "labels", "groups"):
            arrays[f"{domain.name}/{what}"] = getattr(domain, what).numpy()
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def load_babyai(name="babyai.npz"):
    """The windows that `babyai` recorded."""
    with np.load(io.BytesIO(load(name))) as arrays:
        names = dict.fromkeys(name.partition("/")[0] for name in arrays.files if "/" in name)
        domains = [
            Domain(name, *(torch.from_numpy(arrays[f"{name}/{what}"]) for what in ("inputs", "labels", "groups")))
            for name in names
        ]
        return MultiDomainData(tuple(domains), int(arrays["n_outputs"]))


FIXTURES = {
    "weather.json": weather,
    "tools.whl": tools,
    "babyai.npz": babyai,
    "babyai-pixels.npz": lambda: babyai(pixels=True),
    "pokemon.json": battles.record,
}


def load(name):
    """The bytes of a fixture."""
    return lzma.decompress((FOLDER / f"{name}.xz").read_bytes())


def write(name):
    """Records it."""
    (FOLDER / f"{name}.xz").write_bytes(lzma.compress(FIXTURES[name](), preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    for chosen in sys.argv[1:] or FIXTURES:
        write(chosen)
