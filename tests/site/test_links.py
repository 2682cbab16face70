"""Every link inside the site leads somewhere, and nothing is fetched from outside."""

import urllib.parse

import pytest

from tests.site.html import OUTSIDE, Page, pages


@pytest.fixture(scope="session")
def found(site):
    return pages(site)


def target(page, link):
    path, _, name = link.partition("#")
    return (page.parent / urllib.parse.unquote(path)).resolve() if path else page, urllib.parse.unquote(name)


def test_links_and_what_they_jump_to_are_there(site, found):
    broken = []
    number = 0
    for page, content in found.items():
        for link in content.links:
            if link.startswith(OUTSIDE):
                continue
            number += 1
            path, name = target(page, link)
            if not path.exists() or (name and path in found and name not in found[path].names):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert broken == []
    assert number > 1000


def test_pictures_scripts_and_styles_come_with_the_site(site, found):
    missing = []
    for page, content in found.items():
        for source in content.sources:
            if source.startswith("data:"):
                continue
            if source.startswith(OUTSIDE) or not target(page, source.partition("?")[0])[0].exists():
                missing.append(f"{page.relative_to(site)}: {source}")
    assert missing == []


def test_the_check_can_fail(tmp_path):
    page = Page('<a href="nowhere.html#x">x</a><img src="https://elsewhere/x.png"><p id="here">')
    assert target(tmp_path / "page.html", page.links[0]) == ((tmp_path / "nowhere.html").resolve(), "x")
    assert (page.sources, page.names) == (["https://elsewhere/x.png"], {"here"})


def test_what_a_reader_looks_for_is_three_clicks_away(site, found):
    """A framework, the mathematics, whether it helps."""
    wanted = ["frameworks.html", "distributed.html", "explanation/gram-form.html", "explanation/does-it-help.html"]
    wanted += ["results.html", "reference/api/optimizer.html", "how-to/troubleshooting.html", "gallery/index.html"]
    reached, edge = {site / "index.html"}, {site / "index.html"}
    for _ in range(3):
        near = {target(page, link)[0] for page in edge for link in found[page].links if not link.startswith(OUTSIDE)}
        edge = {page for page in near if page in found} - reached
        reached |= edge
    assert {site / page for page in wanted} <= reached
    everything = {page for page in found if "_" not in page.relative_to(site).parts[0]}
    assert everything - reached <= {site / "search.html", site / "genindex.html", site / "py-modindex.html"}
