"""Forms as clients write them that are neither browsers nor curl."""

import pytest

from model.images import read_image
from tests.pictures import encoded, painting, photo

HEADS = {
    "a media type alone": 'name="{}"\r\nContent-Type: image/png',
    "a media type in capitals": 'name="{}"\r\ncontent-type: Image/PNG; x=y',
    "an encoded name alone": "name=\"{}\"; filename*=UTF-8''a%20b.png",
    "a name": 'name="{}"; filename="a.png"',
}


def form(head: str) -> bytes:
    parts = [("content", encoded(photo())), ("style", encoded(painting()))]
    body = b""
    for name, data in parts:
        body += f"--x\r\nContent-Disposition: form-data; {head.format(name)}\r\n\r\n".encode()
        body += data + b"\r\n"
    return body + b'--x\r\nContent-Disposition: form-data; name="style_size"\r\n\r\n64\r\n--x--\r\n'


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_a_part_with_a_picture_is_a_file(client, head):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = client.post("/v1/stylize", content=form(head), headers=headers)
    assert response.status_code == 200, response.text
    assert read_image(response.content).size == (96, 64)


def test_text_is_no_file_and_an_address_gets_a_hint(client):
    files = {"content": encoded(photo())}
    for value, said in (
        ("strokes", "and is text"),
        ("https://x.org/a.png", "fetches no addresses"),
    ):
        response = client.post("/v1/stylize", files=files, data={"style": value})
        assert response.status_code == 422
        assert said in response.json()["detail"]
