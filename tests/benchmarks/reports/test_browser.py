"""The page in a real browser: every picture is decoded, and something is on it."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from benchmarks.__main__ import app
from benchmarks.reports.request import Request
from benchmarks.runs.environment import ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--virtual-time-budget=20000",
)

COUNT = """<pre id="counts"></pre><script>
window.onload = () => {
  const counts = {};
  for (const image of document.images) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth || 1, image.naturalHeight || 1];
    const context = canvas.getContext("2d");
    if (image.naturalWidth > 0) context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const colours = new Set();
    let marked = 0;
    for (let i = 0; i < pixels.length; i += 4) {
      if (pixels[i + 3] > 0 && Math.min(pixels[i], pixels[i + 1], pixels[i + 2]) < 150) {
        marked += 1;
        colours.add(pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2]);
      }
    }
    counts[image.id] = [image.naturalWidth, image.naturalHeight, image.clientWidth, marked, colours.size];
  }
  document.getElementById("counts").textContent = JSON.stringify(counts);
};
</script>"""


@pytest.mark.slow
def test_every_picture_of_the_page_shows_something(tmp_path):
    browser = _browser()
    _records(tmp_path / "records.jsonl")
    with pytest.raises(SystemExit) as stopped:
        app(["report", str(tmp_path)])
    assert stopped.value.code == 0
    page = (tmp_path / "report/report.html").read_text(encoding="utf-8")
    page, number = re.subn(r"<meta http-equiv=.*?>", "", page)  # it forbids scripts, ours too
    assert number == 1
    page = page.replace("<details", "<details open").replace(
        "</body>", '<img id="broken" src="data:image/svg+xml;base64,AAAA">' + COUNT + "</body>"
    )
    (tmp_path / "counting.html").write_text(page, encoding="utf-8")
    command = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,900", "--dump-dom"]
    done = subprocess.run([*command, (tmp_path / "counting.html").as_uri()], capture_output=True, text=True, check=True)
    counts = json.loads(html.unescape(re.search(r'<pre id="counts">(.*?)</pre>', done.stdout, re.DOTALL).group(1)))
    assert counts.pop("broken")[3] == 0  # the count can fail
    assert len(counts) == page.count("<figure>") >= 7
    for name, (width, height, shown, marked, colours) in counts.items():
        assert min(width, height) > 80, name
        assert 200 < shown <= 1200, name
        assert marked > 1000, name  # test_reporting looks at every panel
        assert colours > 20, name


MEASURE = """<pre id="found"></pre><script>
const frame = document.createElement("iframe");
[frame.width, frame.height] = [WIDTH, HEIGHT];
frame.style.border = 0;
document.body.style.margin = 0;
frame.srcdoc = PAGE;
frame.onload = () => {
  const [inside, view] = [frame.contentDocument, frame.contentWindow];
  const box = (one) => one.getBoundingClientRect();
  const rows = [...inside.querySelectorAll(".forest")][0].querySelectorAll("tbody tr");
  const texts = [...inside.querySelectorAll("#answer, .sub, .forest th, .forest td, .forest i, summary")];
  const seen = texts.filter((one) => one.textContent.trim() && box(one).height > 0);
  document.getElementById("found").textContent = JSON.stringify({
    answer: box(inside.getElementById("answer")).bottom,
    rows: [...rows].filter((row) => box(row).bottom <= view.innerHeight).length,
    all: rows.length,
    width: inside.documentElement.scrollWidth,
    smallest: Math.min(...seen.map((one) => parseFloat(view.getComputedStyle(one).fontSize))),
    bars: Math.min(...[...rows].map((row) => box(row.querySelector(".bar")).width)),
    open: inside.querySelectorAll("details[open]").length,
    names: [...rows].every((row) => row.querySelector("th").scrollWidth <= row.querySelector("th").clientWidth + 1),
  });
};
document.body.prepend(frame);
</script>"""

SCREENS = {"desktop": (1280, 900), "phone": (360, 740)}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Reports of twelve runs and of 20,520."""
    folder = tmp_path_factory.mktemp("pages")
    _records(folder / "few/records.jsonl", seeds=3)
    for source, name in ((folder / "few", "12"), (ROOT / "benchmarks/studies/results/digits.jsonl.xz", "20520")):
        assert Request((str(source),)).report(folder / name)[1] == int(name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("runs", ["12", "20520"])
@pytest.mark.parametrize("screen", SCREENS)
def test_a_reader_finds_the_answer_without_scrolling(pages, runs, screen, tmp_path):
    browser = _browser()
    width, height = SCREENS[screen]
    page = (pages / runs / "report.html").read_text(encoding="utf-8")
    assert len(page) < 3e6
    # A frame of this size: windows of browsers cannot be as narrow as a telephone.
    quoted = json.dumps(page).replace("</", "<\\/")
    script = MEASURE.replace("WIDTH", str(width)).replace("HEIGHT", str(height)).replace("PAGE", quoted)
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{script}", encoding="utf-8")
    command = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", wrapper.as_uri()], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL).group(1)))
    assert found["answer"] < height / 3
    assert found["rows"] >= min(found["all"], 12)
    assert found["width"] <= width
    assert found["smallest"] >= 11.5
    assert found["bars"] >= 0.25 * width
    assert found["names"]
    assert found["open"] == 0
    shot = pages / f"{screen}-{runs}.png"
    size = f"--window-size={max(width, 500)},{height}"
    subprocess.run([*command, size, f"--screenshot={shot}", wrapper.as_uri()], check=True, capture_output=True)
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("L"))[:height, :width]
    assert pixels.shape == (height, width)
    bands = [(band < 128).mean() for band in np.array_split(pixels, 4)]
    assert bands[0] > 0.01  # the answer
    assert all(share > 0.002 for share in bands[: 4 if runs != "12" else 2])  # and the plot, down to the last line


def _browser():
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"NOT CHECKED IN A BROWSER: none of {', '.join(BROWSERS)} is installed")
    return browser


def _records(path, seeds=2):
    lines = []
    path.parent.mkdir(exist_ok=True)
    for seed in range(seeds):
        for place, held_out in enumerate(("art", "photo")):
            for step, algorithm in enumerate(("erm", "pgrad")):
                score, start = 0.5 + 0.1 * place + 0.03 * step + 0.01 * seed, 10.0 * seed + 3 * place
                config = {"dataset": "pictures", "algorithm": algorithm, "held_out": held_out, "seed": seed}
                hparams = {"lr": 0.1 * (1 + seed)}
                curves = {"step": [1, 2], "loss": [2, 1], "validation": [0.5, 0.9], "held_out": [0.4, score]}
                spectrum = {"explained_variance_ratio": [0.8, 0.2], "cosine": [0.9]} if step else {}
                attempt = {"number": 1, "status": "finished", "worker": "w", "started": start, "ended": start + 2}
                line = {"key": f"{seed}{place}{step}", "config": {**config, "point": 0, "hparams": hparams}}
                line |= {"status": "finished", "evaluations": 2, "curves": curves, "diagnostics": spectrum}
                line |= {"timings": {"wall_seconds": 2.0 + step}, "attempts": [attempt]}
                lines.append(json.dumps(line) + "\n")
    path.write_text("".join(lines), encoding="utf-8")
