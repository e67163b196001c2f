"""The JavaScript client, on a page of the service."""

import pytest

from model.images import read_image
from tests.page.test_page import PHOTO
from tests.pictures import photo


@pytest.mark.slow
def test_it_paints_in_a_browser(visitor):
    painted, milliseconds, problem = visitor.page.evaluate(
        """async (data) => {
            const { Client } = await import("/client.js");
            const client = new Client(location.href);
            const content = new Blob([new Uint8Array(data)]);
            const { picture, milliseconds } = await client.stylize(
                { content, styles: [content], style_size: 64 });
            const problem = await client.stylize({ content: new Blob(["x"]), styles: [content] })
                .catch((error) => error.message);
            return [[...new Uint8Array(await picture.arrayBuffer())], milliseconds, problem];
        }""",
        list(PHOTO),
    )
    assert read_image(bytes(painted)).size == photo().size
    assert milliseconds["model"] > 0
    assert problem.startswith("content: these bytes are no JPEG")
