"""The page in a real browser: every picture is decoded, and something is on it."""

import html
import json
import re
import shutil
import subprocess

import pytest

from benchmarks.__main__ import app

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
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"NOT CHECKED IN A BROWSER: none of {', '.join(BROWSERS)} is installed")
    _records(tmp_path / "records.jsonl")
    with pytest.raises(SystemExit) as stopped:
        app(["report", str(tmp_path)])
    assert stopped.value.code == 0
    page = (tmp_path / "report/report.html").read_text(encoding="utf-8")
    page, number = re.subn(r"<meta http-equiv=.*?>", "", page)  # it forbids scripts, ours too
    assert number == 1
    page = page.replace("</body>", '<img id="broken" src="data:image/svg+xml;base64,AAAA">' + COUNT + "</body>")
    (tmp_path / "counting.html").write_text(page, encoding="utf-8")
    command = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,900", "--dump-dom"]
    done = subprocess.run([*command, (tmp_path / "counting.html").as_uri()], capture_output=True, text=True, check=True)
    counts = json.loads(html.unescape(re.search(r'<pre id="counts">(.*?)</pre>', done.stdout, re.DOTALL).group(1)))
    assert counts.pop("broken")[3] == 0  # the count can fail
    assert len(counts) == page.count("<figure>") >= 8
    for name, (width, height, shown, marked, colours) in counts.items():
        assert min(width, height) > 80, name
        assert 200 < shown <= 1200, name
        assert marked > 1000, name  # test_reporting looks at every panel
        assert colours > 20, name


def _records(path):
    lines = []
    for seed in range(2):
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
