"""Every page in a real browser, as wide as a desk and as a telephone; the screenshots are kept beside the site."""

import functools
import http.server
import shutil
import threading

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SCREENS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 740}}
MEASURE = """() => {
  const images = [...document.images].filter((one) => one.offsetParent !== null);
  const wide = [...document.querySelectorAll("main *, article *")].filter((one) => {
    const box = one.getBoundingClientRect();
    if (box.width === 0 || box.right <= window.innerWidth + 1) return false;
    for (let outer = one.parentElement; outer; outer = outer.parentElement)
      if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(outer).overflowX)) return false;
    return true;
  });
  return {
    width: document.documentElement.scrollWidth,
    wide: wide.slice(0, 3).map((one) => one.outerHTML.slice(0, 120)),
    missing: images.filter((one) => !one.complete || one.naturalWidth === 0).map((one) => one.src),
    pictures: images.length,
    small: images.filter((one) => one.clientWidth > window.innerWidth).map((one) => one.src),
    text: document.body.innerText.length,
  };
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(site):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(site):
    path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"NOT CHECKED IN A BROWSER: none of {', '.join(BROWSERS)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


def look(browser, screen, scheme="light"):
    """A window of that size, and what its console says."""
    window = browser.new_context(viewport=SCREENS[screen], color_scheme=scheme).new_page()
    window.set_default_timeout(300_000)  # a busy machine is slow
    said = []
    window.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    window.on("pageerror", lambda error: said.append(str(error)))
    window.on("requestfailed", lambda request: said.append(f"not there: {request.url}"))
    window.on("response", lambda found: said.append(f"{found.status}: {found.url}") if found.status >= 400 else None)
    return window, said


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_overflows_is_missing_or_complains(site, address, browser, screen):
    window, said = look(browser, screen)
    folder = site.parent / "screens" / screen
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wrong, pictures = [], 0
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site).as_posix()
        window.goto(f"{address}/{name}", wait_until="load")
        found = window.evaluate(MEASURE)
        window.screenshot(path=str(folder / f"{name.replace('/', '-').removesuffix('.html')}.png"))
        pictures += found["pictures"]
        if found["width"] > SCREENS[screen]["width"] or found["wide"]:
            wrong.append(f"{name} is {found['width']} wide: {found['wide']}")
        wrong += [f"{name}: picture {source} is missing" for source in found["missing"]]
        wrong += [f"{name}: picture {source} is wider than the screen" for source in found["small"]]
        wrong += [f"{name}: {message}" for message in said]
        said.clear()
        assert found["text"] > 100, name
    assert wrong == []
    assert pictures > 10


def test_the_check_can_fail(address, browser):
    window, said = look(browser, "phone")
    window.goto(f"{address}/index.html")
    window.set_content(
        '<main><p style="width: 900px">x</p><img src="/none.png" width="9" height="9"></main>'
        '<script>console.error("bad")</script>',
        wait_until="load",
    )
    found = window.evaluate(MEASURE)
    assert found["width"] > 360
    assert len(found["wide"]) == len(found["missing"]) == 1
    assert "bad" in said


def test_dark_is_dark(site, address, browser):
    window, said = look(browser, "desktop", "dark")
    window.goto(f"{address}/explanation/gram-form.html")
    colour = window.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(int(part) for part in colour[4:-1].split(",")[:3]) < 3 * 60
    window.screenshot(path=str(site.parent / "screens" / "dark.png"))
    assert said == []


SCRIPTS = """() => [...document.querySelectorAll("math msub, math msup")].map((one) => {
  const [base, script] = [...one.children].map((part) => part.getBoundingClientRect());
  return [one.localName, script.bottom - base.bottom, base.top - script.top, base.height];
})"""


def test_scripts_of_formulas_stand_below_and_above(address, browser):
    """Where the system has no font for formulas, the site's own places them."""
    window, said = look(browser, "desktop")
    window.goto(f"{address}/explanation/gram-form.html")
    window.evaluate("document.fonts.ready")
    found = window.evaluate(SCRIPTS)
    assert len(found) > 50
    assert [one for one in found if one[0] == "msub" and not one[1] > 0] == []
    assert [one for one in found if one[0] == "msup" and not 0 < one[2] < one[3]] == []
    assert said == []


def test_search_finds(address, browser):
    window, said = look(browser, "desktop")
    window.goto(f"{address}/search.html?q=displacement")
    window.wait_for_selector("#search-results li a")
    titles = window.eval_on_selector_all("#search-results li a", "all => all.map((one) => one.textContent)")
    assert len(titles) > 5
    assert said == []
