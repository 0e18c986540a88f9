"""A page of ``report/`` taken apart."""

from html.parser import HTMLParser

VOID = {"meta", "img"}


class Page(HTMLParser):
    """Collects links, texts for pictures and tags that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.alts, self.tags = [], set(), [], []
        self.open, self.wrong = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.links += [values[name] for name in ("href", "src", "srcset", "data") if name in values]
        self.ids.add(values.get("id"))
        if tag == "img":
            self.alts.append(values.get("alt"))
        if tag == "svg" and values.get("class") == "picture":
            self.alts.append(values.get("aria-label"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def check_page(text):
    """The page needs nothing else, is well formed, and every picture has words."""
    page = Page(text)
    assert [link for link in page.links if not link.startswith(("data:", "#"))] == []
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "@import" not in text
    assert "url(" not in text
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert page.wrong == []
    assert page.open == []
    assert all(alt and len(alt) > 20 for alt in page.alts)
    assert page.tags.count("h1") == 1
    return page
