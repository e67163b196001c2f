"""The JavaScript client, in Node and in a browser, against a real server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from model import Stylizer
from model.images import read_image
from tests.pictures import ROUNDING, difference, encoded, painting, photo

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "app" / "client" / "client.js"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")


@pytest.fixture
def service(serve, tmp_path: Path):
    with serve(data_dir=tmp_path / "data", api_keys="secret", max_styles=2) as http:
        yield str(http.base_url).rstrip("/")


def run(folder: Path, program: str) -> str:
    """Run a program in Node beside the client and two pictures; return what it prints."""
    shutil.copy(CLIENT, folder)
    (folder / "photo.jpg").write_bytes(encoded(photo()))
    (folder / "painting.jpg").write_bytes(encoded(painting()))
    (folder / "program.mjs").write_text(program)
    command = ["node", "program.mjs"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def program(service: str, work: str, key: str = '{ key: "secret" }') -> str:
    return f"""
        import {{ openAsBlob, writeFileSync }} from "node:fs";
        import {{ Client, ProblemError }} from "./client.js";
        const client = new Client("{service}", {key});
        const content = await openAsBlob("photo.jpg"), style = await openAsBlob("painting.jpg");
        const problemOf = (promise) =>
            promise.then(() => null, (error) => [error instanceof ProblemError, {{ ...error }}]);
        {work}
        console.log(JSON.stringify(out));
    """


@needs_node
@pytest.mark.inside
def test_it_does_all_that_the_api_does(service: str, tmp_path: Path, stylizer: Stylizer) -> None:
    work = """
        const out = {};
        const small = { content, style_size: 64 };
        const first = await client.stylize({ ...small, styles: [style], alpha: 0.5 });
        writeFileSync("out.png", Buffer.from(await first.picture.arrayBuffer()));
        out.first = [first.recipe, first.milliseconds, first.requestId, first.picture.type];
        const saved = await client.saveStyle("Mine", style);
        out.renamed = (await client.renameStyle(saved.id, "Ours")).name;
        out.listed = (await client.styles()).map((each) => each.id).includes(saved.id);
        const mixed = await client.stylize({ ...small, styles: [content], styleIds: [saved.id],
            weight: [3, 1], masks: [content, content], preserve_color: true,
            size: undefined, format: "webp" });
        out.mixed = [mixed.picture.type, mixed.recipe.styles[1].style_id === saved.id];
        await client.deleteStyle(saved.id);
        out.deleted = !(await client.styles()).map((each) => each.id).includes(saved.id);
        out.limits = (await client.limits()).max_styles;
    """
    out = json.loads(run(tmp_path, program(service, work)))
    recipe, milliseconds, request_id, media_type = out["first"]
    assert recipe["alpha"] == 0.5
    assert milliseconds["model"] > 0
    assert request_id
    assert media_type == "image/png"
    style = stylizer.encode_style(painting(), style_size=64)
    expected = stylizer.stylize(photo(), style, alpha=0.5)
    assert difference(read_image(tmp_path / "out.png"), expected) < ROUNDING
    assert out["renamed"] == "Ours"
    assert out["listed"] is True
    assert out["mixed"] == ["image/webp", True]
    assert out["deleted"] is True
    assert out["limits"] == 2


@needs_node
@pytest.mark.inside
def test_problems_are_thrown(service: str, tmp_path: Path) -> None:
    work = """
        const out = {
            alpha: await problemOf(client.stylize({ content, styles: [style], alpha: 2 })),
            stranger: await problemOf(new Client(client_address).styles()),
            nobody: (await problemOf(new Client("http://127.0.0.1:1").limits()))[0],
            ended: (await problemOf(client.stylize({ content, styles: [style] },
                { signal: AbortSignal.abort() })))[0],
        };
    """.replace("client_address", f'"{service}"')
    out = json.loads(run(tmp_path, program(service, work)))
    is_problem, problem = out["alpha"]
    assert is_problem
    assert {"status": 422, "code": "invalid-parameter", "field": "alpha"}.items() <= problem.items()
    assert (problem["limit"], problem["value"]) == (1, 2)
    assert out["stranger"][1]["status"] == 401
    assert out["nobody"] is out["ended"] is False


@needs_node
def test_it_tries_again_while_the_service_is_busy(tmp_path: Path) -> None:
    work = """
        import { createServer } from "node:http";
        import { Client } from "./client.js";
        let calls = 0;
        const server = createServer((request, response) => {
            const busy = ++calls < 3;
            response.writeHead(busy ? 503 : 200, busy ? { "Retry-After": "0" } : {});
            const problem = { type: "urn:adain:problem:queue-full" };
            response.end(JSON.stringify(busy ? problem : { a: 1 }));
        }).listen(0, "127.0.0.1", async () => {
            const client = new Client(`http://127.0.0.1:${server.address().port}`);
            console.log(JSON.stringify([await client.limits(), calls]));
            server.close();
            server.closeAllConnections();
        });
    """
    assert json.loads(run(tmp_path, work)) == [{"a": 1}, 3]


@pytest.mark.slow
@needs_node
def test_the_program_of_the_documentation_paints(serve, tmp_path: Path) -> None:
    [script] = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    with serve(data_dir=tmp_path / "data") as http:
        script = script.replace("http://127.0.0.1:8000", str(http.base_url).rstrip("/"))
        assert "size: 768" in run(tmp_path, script)
    assert max(read_image(tmp_path / "out.png").size) == 768
