"""The web page in a real browser, against the real server and weights."""

import io
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from app.starter import PAINTINGS
from model.images import read_image
from tests.page.conftest import SIDE
from tests.pictures import difference, encoded, noise, painting, photo, practised_style

pytestmark = pytest.mark.slow
AXE = Path(__file__).parents[2] / ".venv/axe/node_modules/axe-core/axe.min.js"
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
PHOTO = encoded(photo())
NAMES = [each.name for each in reversed(PAINTINGS)]


def tile(visitor, name):
    return visitor.page.locator("#library li").filter(has_text=name).locator(".tile")


def add(visitor, name):
    visitor.page.get_by_role("button", name=f"Add {name} to the mix").click()


def shares(visitor):
    return [int(slider.input_value()) for slider in visitor.page.locator(".weight").all()]


def test_a_picture_that_is_picked_is_painted_without_a_further_press(visitor, server):
    assert visitor.page.is_visible("#welcome")
    result = visitor.painted(lambda: visitor.pick("content", "c.png", PHOTO))
    newest = server.get("/v1/styles").json()["styles"][-1]
    data = {"style_id": newest["id"]}
    expected = server.post("/v1/stylize", files={"content": PHOTO}, data=data)
    assert difference(result, read_image(expected.content)) == 0
    assert re.fullmatch(r"Painted in \d+\.\d seconds\.", visitor.text("#status"))
    assert not visitor.page.is_visible("#welcome")


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_that_is_dropped_or_pasted(visitor, kind):
    result = visitor.painted(lambda: visitor.send(kind, "c.png", PHOTO))
    assert result.size == (96, 64)


def test_a_style_that_is_dropped_on_the_styles(painted, server):
    style = encoded(painting())
    result = painted.painted(lambda: painted.send("drop", "strokes.png", style, "#styles"))
    files = {"content": PHOTO, "style": style}
    expected = server.post("/v1/stylize", files=files)
    assert difference(result, read_image(expected.content)) == 0
    assert "strokes (yours)" in painted.text("#library li")
    assert difference(painted.painted(lambda: tile(painted, NAMES[0]).click()), result) > 1
    again = painted.painted(lambda: tile(painted, "strokes").click())
    assert difference(again, result) == 0, "the visitor's own style is still there"


def test_a_practised_style_is_dropped_and_saved(painted, server, stylizer):
    style = stylizer.encode_style(painting(), style_size=64)
    file = practised_style(style, stylizer.layout).to_bytes()
    result = painted.painted(lambda: painted.send("drop", "strokes.adain", file, "#styles"))
    expected = server.post("/v1/stylize", files={"content": PHOTO, "style": file})
    assert difference(result, read_image(expected.content)) == 0


def test_the_sample_can_be_tried(visitor):
    assert max(visitor.painted(lambda: visitor.page.click("#sample")).size) == SIDE


CONTROLS = {
    "alpha": lambda v: v.set("alpha", 30),
    "detail": lambda v: v.set("detail", 100),
    "style size": lambda v: v.set("style-size", 96),
    "colours": lambda v: v.page.check("#preserve-color"),
    "another style": lambda v: tile(v, NAMES[2]).click(),
    "a second style": lambda v: add(v, NAMES[1]),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_changes_the_picture_and_back(painted, control):
    first = painted.result()
    changed = painted.painted(lambda: CONTROLS[control](painted))
    assert changed.size == first.size
    assert difference(changed, first) > 1


def test_the_result_size(larger):
    content = encoded(photo(900, 600), "JPEG")
    first = larger.painted(lambda: larger.pick("content", "c.jpg", content))
    assert first.size == (768, 512)
    smaller = larger.painted(lambda: larger.page.select_option("#size", "512"))
    assert smaller.size == (512, 341)
    options = larger.page.locator("#size option").all_inner_texts()
    assert options[-1] == "2048", "no size is offered that the service does not paint"
    enlarged = larger.painted(lambda: larger.page.select_option("#size", "2048"))
    assert enlarged.size == (900, 600)


@pytest.mark.parametrize(("largest", "offered"), [(640, ["512", "640"]), (384, ["384"])])
def test_the_largest_size_of_the_service_is_offered(visit, serve, tmp_path, largest, offered):
    with serve(data_dir=tmp_path, max_size=largest) as client:
        visitor = visit(str(client.base_url))
        size = "document.getElementById('size')"
        visitor.until(f"{size}.value === '{largest}'")
        assert visitor.page.locator("#size option").all_inner_texts() == offered


def test_up_to_four_styles_mix(painted):
    pictures = [painted.result()]
    for name in NAMES[1:4]:
        pictures.append(painted.painted(lambda name=name: add(painted, name)))
        assert difference(pictures[-1], pictures[-2]) > 0.5
    add(painted, NAMES[4])
    assert "At most 4 styles" in painted.text("#style-error")
    assert shares(painted) == [100] * 4
    slider = painted.page.get_by_role("slider", name=f"Share of {NAMES[1]}")
    moved = painted.painted(lambda: slider.fill("0"))
    assert difference(moved, pictures[-1]) > 0.5
    out = painted.page.get_by_role("button", name=f"Take {NAMES[1]} out of the mix")
    assert difference(painted.painted(out.click), moved) == 0, "a share of 0 is none"


def test_the_mixing_pad_moves_the_sliders(painted):
    painted.painted(lambda: add(painted, NAMES[1]))
    box = painted.page.locator("#pad").bounding_box()
    middle = box["y"] + box["height"] / 2
    mixed = painted.painted(
        lambda: painted.page.mouse.click(box["x"] + 0.75 * box["width"], middle)
    )
    assert shares(painted) == [25, 75]
    second = painted.painted(
        lambda: painted.page.mouse.click(box["x"] + box["width"] - 1.5, middle)
    )
    assert difference(mixed, second) > 0.5


def stroke(visitor, begin, end):
    box = visitor.page.locator("#mask").bounding_box()
    (x0, y0), (x1, y1) = (
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (begin, end)
    )
    visitor.page.mouse.move(x0, y0)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x1, y1, steps=5)
    visitor.page.mouse.up()


def test_a_brush_gives_each_style_its_region(visitor):
    big = encoded(photo(240, 160))
    first = visitor.painted(lambda: visitor.pick("content", "c.png", big))
    visitor.painted(lambda: add(visitor, NAMES[2]))
    second = visitor.painted(lambda: tile(visitor, NAMES[2]).click())
    visitor.painted(lambda: tile(visitor, NAMES[0]).click())
    mixed = visitor.painted(lambda: add(visitor, NAMES[2]))
    visitor.page.click("#paint-regions")
    visitor.set("brush-size", 40)
    masked = visitor.painted(lambda: stroke(visitor, (0.9, 0.0), (0.9, 1.0)))
    left, right = (0, 0, 100, 160), (212, 0, 240, 160)
    for side, near, far in ((left, first, second), (right, second, first)):
        assert difference(masked.crop(side), near.crop(side)) < difference(
            masked.crop(side), far.crop(side)
        )
    visitor.page.get_by_label(NAMES[0], exact=True).check()
    visitor.painted(lambda: stroke(visitor, (0.9, 0.5), (0.9, 1.0)))
    undone = visitor.painted(lambda: visitor.page.click("#mask-undo"))
    assert difference(undone, masked) == 0
    assert difference(visitor.painted(lambda: visitor.page.click("#mask-clear")), mixed) == 0
    visitor.page.focus("#mask")
    for key in ("ArrowRight", "ArrowDown"):
        visitor.page.keyboard.press(key)
    keyed = visitor.painted(lambda: visitor.page.keyboard.press("Space"))
    assert difference(keyed, mixed) > 0.5


def test_stages_are_told_and_a_picture_can_be_cancelled(painted, hold, server):
    before = painted.result()
    held = hold()

    def post():
        with httpx.Client(base_url=server.base_url, timeout=60) as client:
            files = {"content": PHOTO, "style": encoded(painting())}
            client.post("/v1/stylize", files=files, data={"style_size": "64"})

    other = threading.Thread(target=post)
    other.start()
    assert held.reached.wait(30)
    painted.set("alpha", 50)
    painted.until("document.getElementById('status').textContent === 'In the queue, 1 before you…'")
    painted.page.click("#cancel")
    painted.state("cancelled")
    assert difference(painted.result(), before) == 0, "the last picture stays"
    held.release()
    other.join()
    assert difference(painted.painted(lambda: painted.page.click("#again")), before) > 1


def test_the_stage_of_painting_is_shown(painted, hold):
    held = hold()
    painted.set("alpha", 40)
    painted.state("painting")
    assert painted.text("#status") == "Painting…"
    assert painted.page.is_visible("#busy")
    held.release()
    painted.state("done")


def test_a_picture_is_refined_and_can_be_stopped(visit, serve, tmp_path):
    with serve(data_dir=tmp_path, max_refine_seconds=30) as server:
        visitor = visit(str(server.base_url))
        page = visitor.page
        plain = visitor.painted(lambda: visitor.pick("content", "photo.png", PHOTO))
        page.click("#refine")
        # A picture on its way is shown, in the place of the one before.
        visitor.until(r"document.getElementById('status').textContent.match(/Refining… [1-9]\d %/)")
        assert page.is_hidden("#refine")
        page.locator("#enough").scroll_into_view_if_needed()  # as a click does
        box = page.locator("#frame").bounding_box()
        better = visitor.painted(lambda: page.click("#enough"))
        assert better.size == plain.size
        assert difference(better, plain) > 1
        assert page.locator("#frame").bounding_box() == box
        assert page.is_hidden("#enough")

        page.click("#refine")
        page.wait_for_selector("#enough:visible")
        page.click("#cancel")
        visitor.state("cancelled")
        page.wait_for_selector("#again:visible")
        assert difference(visitor.result(), better) == 0, "what was there is there again"


def test_a_service_without_refinement_offers_none(painted):
    assert painted.page.is_hidden("#refine")


def test_a_change_drops_the_request_that_it_outdates(painted, hold):
    expected = painted.painted(lambda: painted.set("alpha", 20))
    painted.painted(lambda: painted.set("alpha", 90))
    held = hold()
    painted.set("alpha", 60)
    painted.state("painting")
    painted.set("alpha", 20)
    painted.state("queued")
    held.release()
    painted.state("done")
    assert difference(painted.result(), expected) == 0


def test_a_full_service_is_asked_again(visit, serve, hold, tmp_path):
    with serve(max_requests=1, data_dir=tmp_path) as client:
        visitor = visit(str(client.base_url))
        visitor.painted(lambda: visitor.pick("content", "c.png", PHOTO))
        held = hold()
        files = {"content": PHOTO, "style": encoded(painting())}
        other = threading.Thread(target=lambda: client.post("/v1/stylize", files=files))
        other.start()
        assert held.reached.wait(30)
        visitor.set("alpha", 50)
        visitor.state("queued")
        visitor.page.wait_for_timeout(300)
        assert visitor.text("#status") == "In the queue…"
        held.release()
        other.join()
        visitor.state("done")
        visitor.page.goto("about:blank")


BROKEN = encoded(noise(96, 64), "JPEG")[:3000]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("notes.txt", b"a text", "notes.txt is no picture"),
        ("notes.png", b"a text", "these bytes are no JPEG"),
        ("broken.jpg", BROKEN, "cut off or damaged"),
        ("empty.png", b"", "empty"),
    ],
)
def test_what_is_no_picture_is_told_and_takes_nothing_away(painted, name, data, said):
    before = painted.result()
    painted.send("drop", name, data)
    assert said in painted.text("#content-error")
    painted.page.wait_for_selector("#export", state="visible")
    assert difference(painted.result(), before) == 0
    painted.send("drop", name, data, "#styles")
    assert said in painted.text("#style-error") or name == "notes.txt"
    painted.state("done")  # with the style of before
    assert difference(painted.painted(lambda: painted.set("alpha", 50)), before) > 1


def test_a_broken_first_picture_leaves_the_welcome(visitor):
    visitor.send("drop", "broken.jpg", BROKEN)
    assert "cut off" in visitor.text("#content-error")
    assert visitor.page.is_visible("#welcome")
    visitor.painted(lambda: visitor.pick("content", "c.png", PHOTO))
    assert not visitor.page.is_visible("#content-error")


@pytest.mark.parametrize(("name", "format"), [("c.tif", "TIFF"), ("c.heic", "HEIF")])
def test_a_picture_that_only_the_server_can_read(visitor, name, format):
    data = encoded(photo(), format)
    result = visitor.painted(lambda: visitor.pick("content", name, data))
    assert max(result.size) == SIDE, "scaled to the chosen size, as it could not be measured"
    assert visitor.page.is_visible("#divider")
    width = "document.getElementById('before').naturalWidth"
    assert visitor.page.evaluate(width) == SIDE, "the picture as it was is shown beside"


def test_a_server_that_stops_costs_no_picture(visit, serve, tmp_path):
    with serve(data_dir=tmp_path) as client:
        visitor = visit(str(client.base_url))
        before = visitor.painted(lambda: visitor.pick("content", "c.png", PHOTO))
    visitor.set("alpha", 50)
    assert "cannot be reached" in visitor.text("#render-error")
    assert visitor.page.is_visible("#again")
    assert difference(visitor.result(), before) == 0
    with visitor.page.expect_download() as download:
        visitor.page.click("#download")
    assert difference(read_image(download.value.path()), before) == 0


def test_a_library_that_cannot_be_used_leaves_own_styles(visit, serve, tmp_path, browser):
    (tmp_path / "library.sqlite3").write_bytes(b"no database" * 1000)
    with serve(data_dir=tmp_path) as client:
        page = browser.new_page()
        page.goto(str(client.base_url))
        page.wait_for_selector("#style-error:not([hidden])")
        assert "damaged" in page.inner_text("#style-error")
        page.set_input_files("#pick-style", {"name": "s.png", "mimeType": "image/png",
                                             "buffer": encoded(painting())})  # fmt: skip
        page.set_input_files("#pick-content", {"name": "c.png", "mimeType": "image/png",
                                               "buffer": PHOTO})  # fmt: skip
        page.wait_for_selector("body[data-state=done]")
        (tmp_path / "library.sqlite3").unlink()
        page.click("#library-again")
        page.wait_for_selector(f"#library li:nth-child({len(PAINTINGS) + 1})")
        page.close()


def test_a_style_is_saved_found_again_renamed_and_deleted(painted, server):
    own = painted.painted(lambda: painted.pick("style", "slanted.png", encoded(painting())))
    painted.page.get_by_role("button", name="Save to the library slanted").click()
    painted.page.get_by_role("textbox", name="Name").fill(NAMES[0])
    painted.page.get_by_role("button", name="Save", exact=True).click()
    assert "choose another name" in painted.text(".naming .error")
    painted.page.get_by_role("textbox", name="Name").fill("My strokes")
    painted.painted(lambda: painted.page.get_by_role("button", name="Save", exact=True).click())
    assert "My strokes" in painted.text("#toast")
    painted.page.reload()
    painted.page.wait_for_selector("#library li")
    assert "My strokes" in painted.text("#library li")
    reused = painted.painted(lambda: painted.pick("content", "c.png", PHOTO))
    assert difference(reused, own) == 0, "the newest style is chosen, and paints as it did"

    painted.page.get_by_role("button", name="Rename My strokes").click()
    painted.page.get_by_role("textbox", name="New name").fill("夜 strokes")
    painted.page.keyboard.press("Enter")
    painted.until("document.querySelector('#chosen .name').textContent === '夜 strokes'")
    painted.page.click("#toast-undo")
    painted.until("document.querySelector('#chosen .name').textContent === 'My strokes'")
    assert server.get("/v1/styles").json()["styles"][-1]["name"] == "My strokes"

    painted.painted(painted.page.get_by_role("button", name="Delete My strokes").click)
    assert "My strokes" not in painted.text("#library")
    painted.painted(lambda: painted.page.click("#toast-undo"))
    assert "My strokes" in painted.text("#library")
    assert server.get("/v1/styles").json()["styles"][-1]["name"] == "My strokes"
    painted.page.get_by_role("button", name="Delete My strokes").click()
    painted.page.reload()  # what could still be undone is done when the page goes
    deadline = time.monotonic() + 10
    while "My strokes" in server.get("/v1/styles").text:
        assert time.monotonic() < deadline


def test_a_style_that_another_visitor_deletes(visit, server):
    data = {"name": "Fleeting"}
    style = server.post("/v1/styles", data=data, files={"file": encoded(painting())}).json()
    visitor = visit()
    visitor.painted(lambda: visitor.pick("content", "c.png", PHOTO))
    server.delete(f"/v1/styles/{style['id']}")
    visitor.set("alpha", 50)
    assert "no style" in visitor.text("#style-error")
    visitor.until("!document.getElementById('library').textContent.includes('Fleeting')")
    visitor.state("done")
    assert visitor.text("#chosen .name") == NAMES[0]


@pytest.mark.parametrize(("format", "suffix"), [("png", "png"), ("jpeg", "jpg"), ("webp", "webp")])
def test_a_download_is_named_and_decodes(painted, format, suffix):
    painted.page.select_option("#format", format)
    with painted.page.expect_download() as download:
        painted.page.click("#download")
    assert download.value.suggested_filename == f"my-photo-night-sky-in-oil.{suffix}"
    data = Path(download.value.path()).read_bytes()
    assert Image.open(io.BytesIO(data)).format == format.upper()
    assert difference(read_image(data), painted.result()) < (0.01 if format == "png" else 12)


def test_the_picture_goes_to_the_clipboard(visit, server):
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    result = visitor.painted(lambda: visitor.pick("content", "c.png", PHOTO))
    visitor.page.click("#copy")
    visitor.until("document.getElementById('status').textContent.includes('clipboard')")
    data = visitor.page.evaluate(
        """async () => {
            const [item] = await navigator.clipboard.read();
            const blob = await item.getType("image/png");
            return [...new Uint8Array(await blob.arrayBuffer())];
        }"""
    )
    assert difference(read_image(bytes(data)), result) == 0


def test_the_curl_command_gives_the_same_picture(visit, tmp_path):
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    (tmp_path / "it's mine.png").write_bytes(encoded(photo(240, 160)))
    (tmp_path / "strokes.png").write_bytes(encoded(painting()))
    content = (tmp_path / "it's mine.png").read_bytes()
    visitor.painted(lambda: visitor.pick("content", "it's mine.png", content))
    visitor.painted(lambda: visitor.pick("style", "strokes.png", encoded(painting())))
    visitor.painted(lambda: add(visitor, NAMES[0]))
    visitor.painted(lambda: visitor.set("alpha", 70))
    visitor.painted(lambda: visitor.page.check("#preserve-color"))
    visitor.page.click("#paint-regions")
    result = visitor.painted(lambda: stroke(visitor, (0.2, 0.2), (0.8, 0.8)))
    visitor.page.click("#curl")
    for index in (1, 2):
        with visitor.page.expect_download() as download:
            visitor.page.click(f"text=Download mask-{index}.png")
        download.value.save_as(tmp_path / f"mask-{index}.png")
    visitor.page.click("#curl-copy")
    visitor.page.wait_for_selector("#curl-done:text('Copied')")
    command = visitor.page.evaluate("navigator.clipboard.readText()")
    assert command == visitor.page.input_value("#curl-text")
    subprocess.run([*shlex.split(command), "--fail", "--silent"], cwd=tmp_path, check=True)
    (written,) = tmp_path.glob("it-s-mine-*.png")
    assert difference(read_image(written), result) == 0
    written.unlink()
    visitor.page.select_option("#curl-kind", "python")
    program = visitor.page.input_value("#curl-text")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
    assert difference(read_image(written), result) == 0
    visitor.page.select_option("#curl-kind", "cli")
    words = shlex.split(visitor.page.input_value("#curl-text"))
    assert words[:4] == ["adain", "stylize", "it's mine.png", "strokes.png"]
    assert words[words.index("--saved") + 1] == NAMES[0]
    assert words.count("--mask") == 2
    assert "--preserve-color" in words
    assert words[words.index("--alpha") + 1] == "0.7"


def test_before_and_after_are_compared_and_zoomed(larger):
    content = encoded(photo(1200, 1200), "JPEG")
    larger.painted(lambda: larger.pick("content", "c.jpg", content))
    clip = "getComputedStyle(document.getElementById('after')).clipPath"
    larger.set("split", 40)
    assert larger.page.evaluate(clip) == "inset(0px 0px 0px 40%)"
    larger.painted(lambda: larger.set("alpha", 50))
    assert larger.page.evaluate(clip) == "inset(0px 0px 0px 40%)", "a new picture moves nothing"
    width = "document.getElementById('frame').getBoundingClientRect().width"
    assert larger.page.evaluate(width) < 768
    larger.page.click("#zoom")
    assert larger.page.evaluate(width) == 768
    larger.page.click("#zoom")
    assert larger.page.evaluate(width) < 768


def test_a_phone_photo_is_made_small_and_upright_before_it_is_sent(larger):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    photo(4000, 3000).save(file, "JPEG", quality=95, exif=exif)
    with larger.page.expect_request("**/v1/stylize") as request:
        result = larger.painted(lambda: larger.pick("content", "IMG_1.jpg", file.getvalue()))
    assert int(request.value.all_headers()["content-length"]) < 300_000
    assert result.size == (576, 768)
    larger.until("document.getElementById('before').naturalHeight === 768")


def test_a_cut_out_keeps_its_transparency(visitor):
    cut_out = photo(240, 160).convert("RGBA")
    cut_out.putalpha(Image.linear_gradient("L").resize((240, 160)))
    result = visitor.painted(lambda: visitor.pick("content", "c.png", encoded(cut_out)))
    assert difference(result.getchannel("A"), cut_out.getchannel("A")) == 0


def test_everything_by_keyboard(visitor):
    page = visitor.page

    def tab_to(selector):
        for _ in range(80):
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"no way to {selector} by the tab key")

    def press(selector, *keys):
        tab_to(selector)
        for key in keys:
            page.keyboard.press(key)

    first = visitor.painted(lambda: press("#sample", "Enter"))
    second = visitor.painted(lambda: press("#library li:nth-child(2) .tile", "Enter"))
    assert difference(first, second) > 1
    mixed = visitor.painted(lambda: press("#library li:nth-child(3) .add", "Space"))
    assert difference(mixed, second) > 0.5
    visitor.painted(lambda: press("#chosen .weight", "Home"))
    visitor.painted(lambda: press("#alpha", "PageDown", "ArrowLeft"))
    assert visitor.text("#alpha-value") == "89 %"
    press("#paint-regions", "Enter")
    page.focus("body")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    press("#split", "ArrowRight")
    visitor.painted(lambda: press("#mask", "Shift+ArrowLeft"))
    with page.expect_download():
        press("#download", "Enter")


def axe(visitor):
    """What axe-core finds that is serious."""
    if not AXE.exists():
        pytest.skip("THE PAGE IS NOT TESTED FOR ACCESSIBILITY: there was no npm (make test)")
    # Evaluated by the tool, which the page's Content-Security-Policy does not bind.
    visitor.page.evaluate(AXE.read_text())
    found = visitor.page.evaluate("axe.run()")["violations"]
    return [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


LOOKS = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "contrast": {"forced_colors": "active"},
    "narrow": {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_looks(visit, look):
    """Accessible, without sideways scrolling, in its colours; and a screenshot to look at."""
    visitor = visit(reduced_motion="reduce", **LOOKS[look])
    assert axe(visitor) == []
    assert visitor.page.is_visible("[data-pick=camera]") == (look == "narrow")
    visitor.painted(lambda: visitor.page.click("#sample"))
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    visitor.set("split", 30)
    visitor.page.screenshot(path=SCREENSHOTS / f"{look}.png")
    add(visitor, NAMES[1])
    visitor.page.click("#paint-regions")
    visitor.page.get_by_role("button", name="Rename").first.click()
    visitor.state("done")
    assert axe(visitor) == []
    visitor.page.screenshot(path=SCREENSHOTS / f"{look}-mix.png", full_page=True)
    visitor.page.click("#curl")
    assert axe(visitor) == []
    visitor.page.click("#curl-close")
    width = visitor.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    ground = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(int(part) for part in re.findall(r"\d+", ground)[:3]) / 3
    assert (lightness < 60) == (look == "dark")
    animation = "getComputedStyle(document.getElementById('busy'), '::after').animationName"
    assert visitor.page.evaluate(animation) == "none"


def test_the_document_of_the_api_needs_nothing_from_elsewhere(visitor, server):
    asked, page = [], visitor.page
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.base_url}/docs")
    page.wait_for_selector("#operations-default-stylize_v1_stylize_post")
    assert all(url.startswith((str(server.base_url), "data:", "blob:")) for url in asked)
    policy = server.get("/docs").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("style-src")[0]


def test_the_page_is_small_and_bound_to_its_own_host(server):
    index = server.get("/")
    policy = index.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|style=|<script(?! type=\"module\" src)", index.text)
    paths = {"/"}
    waiting = ["/", "/page/main.js", "/page/page.css", "/page/icon.svg"]
    total = 0
    while waiting:
        response = server.get(waiting.pop())
        assert response.status_code == 200
        assert response.headers["content-security-policy"] == policy
        total += len(response.content)
        for name in re.findall(r'from "\./([\w.]+)"', response.text):
            if f"/page/{name}" not in paths:
                paths.add(f"/page/{name}")
                waiting.append(f"/page/{name}")
    assert total < 100_000
    assert len(paths) > 5
    tag = index.headers["etag"]
    again = server.get("/page/main.js")
    known = {"If-None-Match": again.headers["etag"]}
    assert server.get("/page/main.js", headers=known).status_code == 304
    assert tag
    assert server.head("/").status_code == 200


def test_a_service_with_keys_asks_for_one(browser, serve, tmp_path):
    with serve(data_dir=tmp_path, api_keys="open sesame") as client:
        page = browser.new_page()
        page.goto(str(client.base_url))
        for key in ("wrong", "open sesame"):
            page.wait_for_selector("#key-dialog[open]")
            page.fill("#key", key)
            page.keyboard.press("Enter")
        page.wait_for_selector("#library li")
        page.set_input_files(
            "#pick-content", {"name": "c.png", "mimeType": "image/png", "buffer": PHOTO}
        )
        page.wait_for_selector("body[data-state=done]")
        loaded = (
            "() => [...document.querySelectorAll('.tile img')].some(i => i.naturalWidth === 256)"
        )
        page.wait_for_function(loaded)
        page.close()
