"""What the page costs: its bytes, and the time from the drop of a phone photo to the result.

    python -m benchmarks.page [--rounds 5]

A 12 megapixel JPEG (4000x3000, as a phone writes) is dropped on the page in Chromium, which makes
it 768 pixels long, sends it, and shows the result. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import tempfile
from pathlib import Path

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
    seconds = statistics.median(each for each, _, _ in rounds[1:])
    _, own, thumbnails = rounds[0]
    print("| measure | value |")
    print("|---|---|")
    print(f"| bytes of the page | {own} |")
    print(f"| bytes of its thumbnails | {thumbnails} |")
    print(f"| 12 megapixel photo to result at 768 pixels, first visit | {rounds[0][0]:.2f} s |")
    print(f"| the same, style known | {seconds:.2f} s |")


def measure(browser: Browser, url: str, photo: Path) -> tuple[float, int, int]:
    """Return the seconds to the result, and the bytes of the page and of its thumbnails."""
    page = browser.new_page()
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))
    page.goto(url)
    page.wait_for_selector("#library li")
    page.wait_for_load_state("networkidle")
    sizes = {True: 0, False: 0}
    for response in responses:
        sizes[response.url.endswith("/thumbnail")] += len(response.body())
    page.evaluate(WATCH)
    page.set_input_files("#pick-content", photo)
    page.wait_for_function("() => window.seconds")
    seconds = page.evaluate("window.seconds")
    page.close()
    return seconds, sizes[False], sizes[True]


if __name__ == "__main__":
    main()
