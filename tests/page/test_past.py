"""Results of before, keys, and the page as an app: in a real browser, on the real server."""

import io
import json

import pytest
from PIL import Image

from model.images import read_image
from tests.page.test_page import NAMES, PHOTO, tile
from tests.pictures import difference, encoded, photo

pytestmark = pytest.mark.slow


def results(visitor):
    return visitor.page.locator("#results .tile")


def shown(visitor, act):
    """The result that is shown once what `act` does has brought it back."""
    before = visitor.page.get_attribute("#after", "src")
    act()
    visitor.page.wait_for_function(
        "before => document.getElementById('after').src !== before "
        "&& document.getElementById('status').textContent === 'As it was painted before.'",
        arg=before,
    )
    return visitor.result()


def test_results_are_undone_and_redone_with_their_controls(painted):
    first = painted.result()
    painted.painted(lambda: painted.set("alpha", 30))
    third = painted.painted(lambda: tile(painted, NAMES[2]).click())
    page = painted.page
    shown(painted, lambda: page.click("#undo"))
    assert difference(shown(painted, lambda: page.keyboard.press("Control+z")), first) == 0
    assert page.input_value("#alpha") == "100"
    assert tile(painted, NAMES[0]).get_attribute("aria-pressed") == "true"
    assert page.is_disabled("#undo")
    shown(painted, lambda: page.keyboard.press("Control+Shift+z"))
    assert difference(shown(painted, lambda: page.click("#redo")), third) == 0
    assert page.input_value("#alpha") == "30"
    assert tile(painted, NAMES[2]).get_attribute("aria-pressed") == "true"
    assert page.is_disabled("#redo")


def test_results_are_there_at_the_next_visit_and_can_be_forgotten(painted):
    first, page = painted.result(), painted.page
    painted.painted(lambda: painted.set("detail", 100))
    page.wait_for_function("() => document.querySelectorAll('#results .tile').length === 2")
    page.reload()
    page.wait_for_selector("#results li:nth-child(2)")
    assert page.is_visible("#welcome")
    page.wait_for_selector("#chosen li")
    assert difference(shown(painted, lambda: results(painted).nth(1).click()), first) == 0
    assert page.is_visible("#download")
    again = painted.painted(lambda: painted.set("alpha", 99))
    assert again.size == first.size, "the content is there too"
    page.click("#history-clear")
    assert results(painted).count() == 0
    page.reload()
    page.wait_for_selector("#library li")
    assert not page.is_visible("#history")


def test_no_more_results_are_kept_than_the_browser_should_hold(painted):
    painted.page.evaluate(
        """async () => {
            const { History } = await import("./page/history.js");
            const past = new History({ show() {}, compare() {} });
            const blob = new Blob(["x"]);
            for (let i = 0; i < 30; i++) await past.add({ blob, file: blob, name: String(i) });
        }"""
    )
    assert results(painted).count() == 24


def test_a_result_is_compared_with_another(painted):
    first, page = painted.result(), painted.page
    second = painted.painted(lambda: tile(painted, NAMES[2]).click())
    page.get_by_role("button", name="Compare with").click()
    page.wait_for_function("() => document.getElementById('split').value === '50'")
    assert difference(painted.result("before"), first) == 0
    assert difference(painted.result(), second) == 0
    page.get_by_role("button", name="Compare with").click()
    assert page.input_value("#split") == "0"


@pytest.mark.parametrize("how", ["button", "drag"])
def test_a_result_becomes_a_style(painted, how, server):
    style = painted.result()

    def drag():
        painted.page.evaluate(
            """() => {
                const dataTransfer = new DataTransfer();
                const options = { bubbles: true, cancelable: true, dataTransfer };
                const image = document.querySelector("#results img");
                image.dispatchEvent(new DragEvent("dragstart", options));
                const target = document.querySelector("#library");
                target.dispatchEvent(new DragEvent("drop", options));
            }"""
        )

    act = drag if how == "drag" else lambda: painted.page.click("#as-style")
    result = painted.painted(act)
    files = {"content": PHOTO, "style": encoded(style, "PNG")}
    assert difference(result, read_image(server.post("/v1/stylize", files=files).content)) == 0


def test_a_key_lists_the_keys(painted):
    page = painted.page
    page.keyboard.press("?")
    assert "the result before" in painted.text("#help-dialog")
    page.keyboard.press("Control+s")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help-dialog")
    with page.expect_download():
        page.keyboard.press("Control+s")


def test_the_page_can_be_installed(server):
    page = server.get("/").text
    assert 'rel="manifest" href="page/manifest.webmanifest"' in page
    response = server.get("/page/manifest.webmanifest")
    assert response.headers["content-type"].startswith("application/manifest+json")
    manifest = json.loads(response.text)
    for icon in manifest["icons"]:
        file = server.get(f"/page/{icon['src']}")
        assert file.headers["content-type"] == icon["type"]
        if icon["type"] == "image/png":
            width, height = Image.open(io.BytesIO(file.content)).size
            assert icon["sizes"] == f"{width}x{height}"


def controlled(visitor):
    """The page once its service worker answers for it."""
    visitor.page.evaluate("() => navigator.serviceWorker.ready.then(() => {})")
    visitor.page.reload()
    visitor.page.wait_for_selector("#library li")
    assert visitor.page.evaluate("() => Boolean(navigator.serviceWorker.controller)")
    return visitor.page


def test_the_page_opens_without_the_service(visit, serve, tmp_path):
    with serve(data_dir=tmp_path) as client:
        visitor = visit(str(client.base_url))
        page = controlled(visitor)
    page.reload()
    page.wait_for_selector("#style-error:not([hidden])")
    assert "cannot be reached" in visitor.text("#style-error")
    assert page.is_visible("#library-again")


def test_a_picture_that_another_app_shares_is_painted(visitor):
    page = controlled(visitor)
    page.evaluate(
        """async (data) => {
            const body = new FormData();
            const file = new File([new Uint8Array(data)], "söme photo.png", { type: "image/png" });
            body.append("content", file);
            await fetch("shared", { method: "POST", body });
        }""",
        list(PHOTO),
    )
    page.goto(f"{page.url}?shared")
    visitor.state("done")
    assert visitor.result().size == photo().size
    assert "shared" not in page.url
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename.startswith("söme-photo-")
