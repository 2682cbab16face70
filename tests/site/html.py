"""What stands in a page: links, names to jump to, pictures, text."""

from html.parser import HTMLParser

OUTSIDE = ("http://", "https://", "mailto:")


class Page(HTMLParser):
    """Attributes:
    names: Where one can jump to.
    links: Where one can go.
    sources: What the browser loads by itself: pictures, scripts, styles.
    tags: How often each element stands there.
    """

    def __init__(self, text):
        super().__init__()
        self.names, self.links, self.sources, self.tags = set(), [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.names |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("img", "script") and given.get("src"):
            self.sources.append(given["src"])
        if tag == "link" and given.get("href") and given.get("rel") in ("stylesheet", "icon"):
            self.sources.append(given["href"])


def pages(site):
    """Every page of the site by its path."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
