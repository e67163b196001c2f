import json
import logging
import time

from app.logs import JsonFormatter
from tests.pictures import encoded, painting, photo


def lines_of(id, caplog):
    return [JsonFormatter().format(r) for r in caplog.records if getattr(r, "id", None) == id]


def test_a_request_is_one_line_with_stages_and_sizes_and_no_names(client, caplog):
    files = [
        ("content", ("private-name.png", encoded(photo()))),
        ("style", ("secret.png", encoded(painting()))),
    ]
    with caplog.at_level(logging.INFO, "adain.request"):
        response = client.post("/v1/stylize", files=files)
        # The line is written after the last byte is sent.
        while not (lines := lines_of(response.headers["x-request-id"], caplog)):
            time.sleep(0.01)
    assert response.status_code == 200, response.text
    (line,) = lines
    entry = json.loads(line)
    assert (entry["status"], entry["size"], entry["format"]) == (200, "96x64", "png")
    assert entry["bytes"] == len(response.content)
    stages = [entry[f"{stage}_ms"] for stage in ("decode", "queue", "model", "encode")]
    assert 0 < sum(stages) <= entry["total_ms"] + 1
    assert "private" not in line
    assert "secret" not in line


def test_an_exception_stays_on_one_line():
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "%s!", ("oh",), None)
        record.exc_info = (type(error), error, error.__traceback__)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "oh!"
    assert "ValueError: first" in json.loads(line)["exception"]
