"""A real browser on the real server."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from app.engine.process import ProcessEngine
from app.settings import Settings
from benchmarks.page import CHROMIUM, OPTIONS
from model import Stylizer
from model.images import read_image
from tests.conftest import serving
from tests.pictures import encoded, photo

# The longest side of results here: less than the page asks for, so that they are quick.
SIDE = 256


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("THE PAGE IS NOT TESTED: there is no chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(stylizer: Stylizer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server with a library of its own."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("page"), max_size=SIDE)
    with serving(settings, ProcessEngine(stylizer, settings)) as client:
        yield client


class Visitor:
    """Someone at the page, who reads what it shows.

    Attributes:
        page: the browser's.
        complaints: errors on the console, and requests to elsewhere.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._listen)
        self.page.on("request", lambda request: self._watch(request.url, url))
        self.page.goto(url)
        self.page.wait_for_selector("#library li")

    def _listen(self, message: object) -> None:
        # Chromium puts every answer of 400 and above on the console.
        if message.type == "error" and "Failed to load resource" not in message.text:  # type: ignore[attr-defined]
            self.complaints.append(message.text)  # type: ignore[attr-defined]

    def _watch(self, url: str, own: str) -> None:
        if not url.startswith((own, "blob:")):
            self.complaints.append(f"a request to {url}")

    def painted(self, act: Callable[[], object]) -> Image.Image:
        """The picture that is shown once what `act` does has been painted."""
        before = self.page.get_attribute("#after", "src")
        act()
        self.page.wait_for_function(
            "before => document.body.dataset.state === 'done' "
            "&& document.getElementById('after').getAttribute('src') !== before",
            arg=before,
        )
        return self.result()

    def result(self, image: str = "after") -> Image.Image:
        """The picture that is shown; "before" is what the slider compares it with."""
        # Through a canvas: the page's Content-Security-Policy keeps fetch from blob: URLs.
        data = self.page.evaluate(
            """(id) => {
                const image = document.getElementById(id);
                const canvas = document.createElement("canvas");
                [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
                canvas.getContext("2d").drawImage(image, 0, 0);
                return canvas.toDataURL("image/png").split(",")[1];
            }""",
            image,
        )
        picture = read_image(base64.b64decode(data))
        opaque = picture.getchannel("A").getextrema() == (255, 255)
        return picture.convert("RGB") if opaque else picture

    def send(self, kind: str, name: str, data: bytes, selector: str = "body") -> None:
        """Drop or paste a file on an element."""
        self.page.evaluate(
            """([kind, name, data, selector]) => {
                const transfer = new DataTransfer();
                const types = { png: "image/png", jpg: "image/jpeg", txt: "text/plain" };
                const type = types[name.split(".").pop()];
                transfer.items.add(new File([new Uint8Array(data)], name, { type }));
                const target = document.querySelector(selector);
                const options = { bubbles: true, cancelable: true };
                const event = kind === "paste"
                    ? new ClipboardEvent(kind, { ...options, clipboardData: transfer })
                    : new DragEvent(kind, { ...options, dataTransfer: transfer });
                target.dispatchEvent(event);
            }""",
            [kind, name, list(data), selector],
        )

    def pick(self, kind: str, name: str, data: bytes) -> None:
        """Choose a file in the picker of "content" or "style"."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator(f"[data-pick={kind}]:visible").first.click()
        chooser.value.set_files({"name": name, "mimeType": "", "buffer": data})

    def state(self, name: str) -> None:
        """Wait until the page says so."""
        self.page.wait_for_selector(f"body[data-state={name}]")

    def until(self, condition: str) -> None:
        """Wait until an expression of JavaScript is true."""
        # As a function: the page's Content-Security-Policy keeps eval from strings.
        self.page.wait_for_function(f"() => {condition}")

    def set(self, id: str, value: object) -> None:
        """Move a slider, as a hand or a key does."""
        self.page.locator(f"#{id}").fill(str(value))

    def text(self, selector: str) -> str:
        """The text of an element that is visible."""
        locator = self.page.locator(selector).first
        locator.wait_for(state="visible")
        return locator.inner_text()


@pytest.fixture
def visit(browser: Browser, server: httpx.Client) -> Iterator[Callable[..., Visitor]]:
    """Open the page in a window of its own; at the end, nothing may have been complained of."""
    visitors = []

    def visit(url: str | None = None, **options: object) -> Visitor:
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(30_000)
        visitors.append(Visitor(context, url or str(server.base_url)))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        complaints = visitor.complaints
        visitor.page.context.close()
        assert complaints == []


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    return visit()


@pytest.fixture
def larger(
    visit: Callable[..., Visitor], serve: Callable[..., object], tmp_path: Path
) -> Iterator[Visitor]:
    """A visitor of a server that paints as large as it does by itself."""
    with serve(data_dir=tmp_path) as client:
        yield visit(str(client.base_url))


@pytest.fixture
def painted(visitor: Visitor) -> Visitor:
    """A visitor who has a picture in the first style."""
    picture = encoded(photo())
    visitor.painted(lambda: visitor.pick("content", "my photo.png", picture))
    return visitor
