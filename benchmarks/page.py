"""What the page costs: its bytes, the time until it can be used, and until a photo is painted.

    python -m benchmarks.page [--rounds 5]

A 12 megapixel JPEG (4000x3000, as a phone writes) is dropped on the page in Chromium, which makes
it 768 pixels long, sends it, and shows the result. The page can be used once its styles are there;
the layout shift is the score of the Layout Instability API, 0 where nothing moves. Prints a
Markdown table.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Response, sync_playwright

from benchmarks.server import serving
from benchmarks.speed import picture

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# From the change of the file input to the first frame with the result in it.
WATCH = """() => {
    const input = document.getElementById("pick-content");
    input.addEventListener("change", () => { window.begun = performance.now(); }, true);
    new MutationObserver(() => {
        if (document.body.dataset.state === "done" && !window.seconds)
            requestAnimationFrame(() => {
                window.seconds = (performance.now() - window.begun) / 1000;
            });
    }).observe(document.body, { attributes: true });
}"""


# The sum of the layout shifts since the page began to load.
SHIFT = """() => new Promise((resolve) => {
    let sum = 0;
    const add = (list) => { for (const entry of list.getEntries()) sum += entry.value; };
    new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
    setTimeout(() => resolve(sum), 200);
})"""


class Visit(NamedTuple):
    """What a visit of the page took.

    Attributes:
        usable: seconds until its styles were there.
        shift: score of its layout shifts.
        own, thumbnails: bytes of the page, and of the pictures of its styles.
        painted: seconds from the photo to the result.
    """

    usable: float
    shift: float
    own: int
    thumbnails: int
    painted: float


def main() -> None:
    """Start server and browser, measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    file = io.BytesIO()
    picture(4000, 0).crop((0, 0, 4000, 3000)).save(file, "JPEG", quality=90)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving() as client,
        sync_playwright() as playwright,
    ):
        photo = Path(folder) / "photo.jpg"
        photo.write_bytes(file.getvalue())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        rounds = [measure(browser, str(client.base_url), photo) for _ in range(args.rounds + 1)]
        browser.close()
    # The first round encoded the style.
    seconds = statistics.median(each.painted for each in rounds[1:])
    first = rounds[0]
    print("| measure | value |")
    print("|---|---|")
    print(f"| bytes of the page | {first.own} |")
    print(f"| bytes of its thumbnails | {first.thumbnails} |")
    print(f"| until it can be used | {statistics.median(r.usable for r in rounds):.2f} s |")
    print(f"| layout shift | {max(r.shift for r in rounds):.3f} |")
    print(f"| 12 megapixel photo to result at 768 pixels, first visit | {first.painted:.2f} s |")
    print(f"| the same, style known | {seconds:.2f} s |")


def measure(browser: Browser, url: str, photo: Path) -> Visit:
    """Visit the page, and paint a photo."""
    page = browser.new_page()
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))
    began = time.perf_counter()
    page.goto(url)
    page.wait_for_selector("#library li")
    usable = time.perf_counter() - began
    page.wait_for_load_state("networkidle")
    shift = page.evaluate(SHIFT)
    sizes = {True: 0, False: 0}
    for response in responses:
        sizes[response.url.endswith("/thumbnail")] += len(response.body())
    page.evaluate(WATCH)
    page.set_input_files("#pick-content", photo)
    page.wait_for_function("() => window.seconds")
    seconds = page.evaluate("window.seconds")
    page.close()
    return Visit(usable, shift, sizes[False], sizes[True], seconds)


if __name__ == "__main__":
    main()
