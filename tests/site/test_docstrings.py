"""Docstrings as the site shows them."""

import re

from tests.site.test_contents import text


def test_a_colon_in_the_first_line_of_a_property_is_no_type(site):
    page = re.sub(r"<[^>]+>", "", text(site, "reference/api/optimizer.html"))
    assert "Inner steps done since the anchor: 0 .. rollout_length - 1." in page


def test_signatures_hold_no_private_name(site):
    for path in (site / "reference/api").glob("*.html"):
        signatures = re.findall(r'<dt class="sig.*?</dt>', path.read_text(encoding="utf-8"), re.DOTALL)
        found = [re.sub(r"<[^>]+>", "", one) for one in signatures]
        assert [one for one in found if re.search(r"= _[A-Z]|\*\*unknown|object at", one)] == []


def test_formulas_stand_as_they_are(site):
    page = re.sub(r"<[^>]+>", "", text(site, "reference/api/optimizer.html"))
    assert "g = L * sum_{z &lt;= k} (lambda_z / ||lambda_{1:k}||) s_z v_z" in page


def test_errors_and_sources_are_shown(site):
    page = re.sub(r"<[^>]+>", "", text(site, "reference/api/optimizer.html"))
    assert page.count("Raises:") > 5
    assert "Source: PGrad, arXiv:2305.01134" in page
    assert "/blob/main/pgrad/optimizer.py#L" in text(site, "reference/api/optimizer.html")
