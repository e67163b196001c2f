"""The page's languages: complete, and shown to those who speak them."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.api.page import FOLDER
from tests.page.test_page import PHOTO

PAGE = Path(FOLDER)
LANGUAGES = {file.stem: file for file in sorted((PAGE / "languages").glob("*.json"))}
# Names, signs and numbers, which are the same in all languages.
UNTRANSLATED = re.compile(r"[^A-Za-z]*|adain|curl|Python|PNG|JPEG|WebP|Ctrl|Shift|Z|S|V|Space")


class Texts(HTMLParser):
    """Collects the texts of a document, and of the attributes that are read aloud."""

    def __init__(self):
        super().__init__()
        self.found, self.skipped = set(), None

    def handle_starttag(self, tag, attributes):
        if tag == "noscript":
            self.skipped = tag
        for name, value in attributes:
            if name in ("aria-label", "alt"):
                self.handle_data(value)

    def handle_endtag(self, tag):
        if tag == self.skipped:
            self.skipped = None

    def handle_data(self, data):
        text = " ".join(data.split())
        if not self.skipped and not UNTRANSLATED.fullmatch(text):
            self.found.add(text)


def texts():
    parser = Texts()
    parser.feed((PAGE / "index.html").read_text())
    scripts = "".join(file.read_text() for file in PAGE.glob("*.js"))
    return parser.found | set(re.findall(r'\bt\("([^"]+)"', scripts))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language):
    dictionary = json.loads(LANGUAGES[language].read_text())
    assert sorted(dictionary) == sorted(texts())
    for text, translated in dictionary.items():
        assert sorted(re.findall(r"\{\w+\}", translated)) == sorted(re.findall(r"\{\w+\}", text))
        assert translated.strip()


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_speaks_the_visitors_language(visit, language):
    dictionary = json.loads(LANGUAGES[language].read_text())
    visitor = visit(locale=f"{language}-XX", viewport={"width": 360, "height": 780})
    page = visitor.page
    assert page.get_attribute("html", "lang") == language
    assert page.inner_text("#welcome h2") == dictionary["Begin with a picture"]
    assert page.get_attribute("#library", "aria-label") == dictionary["Saved styles"]
    visitor.painted(lambda: page.set_input_files("#pick-content", picture("c.png")))
    seconds = dictionary["Painted in {n} seconds."].split("{n}")
    assert all(part in visitor.text("#status") for part in seconds)
    sign = "," if language in ("de", "es") else "."
    assert re.search(rf"\d\{sign}\d", visitor.text("#status"))
    width, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= room


@pytest.mark.slow
def test_a_language_can_be_chosen(visit):
    visitor = visit(locale="fr-FR")
    assert visitor.page.get_attribute("html", "lang") == "en", "the one for all others"
    with visitor.page.expect_navigation():
        visitor.page.select_option("#language", "de")
    visitor.page.wait_for_selector("#library li")
    assert visitor.page.inner_text("#welcome h2") == "Beginnen Sie mit einem Bild"
    visitor.page.reload()
    visitor.page.wait_for_selector("html[lang=de]")


def picture(name):
    return {"name": name, "mimeType": "image/png", "buffer": PHOTO}
