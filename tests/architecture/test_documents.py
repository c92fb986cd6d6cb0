"""The documents: every relative link leads to a file, every anchor to a heading, and the README stays short."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

TOP = Path(__file__).parents[2]
PARTS = ("core", "tui", "tests", ".github")
LONGEST_README = 250

DOCUMENTS = [TOP / "README.md", *sorted(path for part in PARTS for path in (TOP / part).rglob("*.md"))]

_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings: lower case, without punctuation, hyphens for spaces."""
    headings = _HEADING.findall(re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path, text: str) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    dead = []
    for link in _LINK.findall(_CODE.sub("", text)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path) if path else page
        found = target.exists() and target.resolve().is_relative_to(TOP)
        if not found or (anchor and anchor not in anchors(text if target == page else target.read_text("utf-8"))):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.relative_to(TOP).as_posix())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert dead_links(page, page.read_text(encoding="utf-8")) == []


def test_a_dead_link_is_found() -> None:
    text = (
        "[a](nowhere.py) [b](core/model.py) [c](#no-such-heading) [d](https://a.example/x)\n`[e](f)`\n# A heading, too"
    )
    assert dead_links(TOP / "README.md", f"[g](#a-heading-too) {text}") == ["nowhere.py", "#no-such-heading"]


def test_the_readme_is_a_page_and_not_a_book() -> None:
    assert len((TOP / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST_README


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [TOP / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        links = _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8")))
        paths = [(page.parent / unquote(link.partition("#")[0])).resolve() for link in links if "://" not in link]
        waiting += [path for path in paths if path.suffix == ".md" and path.exists()]
    recorded = {path for path in DOCUMENTS if path.parent.name == "results"}
    assert set(DOCUMENTS) - reached - recorded == set()
