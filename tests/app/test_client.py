"""The Python client against a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from app.client import AsyncClient, Client, ProblemError, Stylized
from model import Stylizer
from model.images import read_image
from tests.pictures import ROUNDING, difference, encoded, painting, photo

CONTENT = encoded(photo())


@pytest.fixture
def service(serve, tmp_path: Path):
    with serve(data_dir=tmp_path / "data", api_keys="secret", max_styles=2) as http:
        yield str(http.base_url)


@pytest.fixture
def style_file(tmp_path: Path) -> Path:
    path = tmp_path / "style.png"
    path.write_bytes(encoded(painting()))
    return path


def check(result: Stylized, stylizer: Stylizer) -> None:
    style = stylizer.encode_style(painting(), style_size=64)
    expected = stylizer.stylize(photo(), style, alpha=0.5)
    assert difference(read_image(result.picture), expected) < ROUNDING
    assert result.media_type == "image/png"
    assert result.recipe["alpha"] == 0.5
    assert result.milliseconds["model"] > 0
    assert result.request_id


@pytest.mark.inside
def test_a_client_does_all_that_the_api_does(
    service: str, style_file: Path, stylizer: Stylizer
) -> None:
    with Client(service, key="secret") as client:
        check(client.stylize(CONTENT, [style_file], alpha=0.5, style_size=64), stylizer)
        saved = client.save_style("Mine", style_file)
        assert client.rename_style(saved.id, "Ours").name == "Ours"
        assert saved.id in [each.id for each in client.styles()]
        mixed = client.stylize(
            CONTENT, [encoded(painting(seed=7))], style_ids=[saved.id], weight=[3, 1],
            masks=[CONTENT, CONTENT], style_size=64, preserve_color=True, format="webp",
        )  # fmt: skip
        assert mixed.media_type == "image/webp"
        assert mixed.recipe["styles"][1] == {"style_id": saved.id}
        client.delete_style(saved.id)
        assert saved.id not in [each.id for each in client.styles()]
        assert client.limits()["max_styles"] == 2


@pytest.mark.inside
def test_problems_are_raised(service: str, style_file: Path) -> None:
    with Client(service, key="secret") as client:
        with pytest.raises(ProblemError, match="alpha") as raised:
            client.stylize(CONTENT, [style_file], alpha=2)
        problem = raised.value
        assert (problem.status, problem.code, problem.field) == (422, "invalid-parameter", "alpha")
        assert (problem.limit, problem.value) == (1, 2)
        with pytest.raises(ProblemError) as raised:
            client.stylize(CONTENT, [style_file] * 3)
        assert raised.value.limit == 2
    with Client(service) as stranger, pytest.raises(ProblemError, match="asks for a key"):
        stranger.styles()
    with Client("http://127.0.0.1:1") as nobody, pytest.raises(httpx.TransportError):
        nobody.limits()


@pytest.mark.slow
@pytest.mark.inside
def test_the_same_with_asyncio(service: str, style_file: Path, stylizer: Stylizer) -> None:
    async def run() -> None:
        async with AsyncClient(service, key="secret") as client:
            results = await asyncio.gather(
                *(client.stylize(CONTENT, [style_file], alpha=0.5, style_size=64) for _ in "ab")
            )
            for result in results:
                check(result, stylizer)
            saved = await client.save_style("Mine", style_file)
            assert (await client.rename_style(saved.id, "Ours")).name == "Ours"
            assert saved.id in [each.id for each in await client.styles()]
            await client.delete_style(saved.id)
            assert (await client.limits())["max_styles"] == 2
            with pytest.raises(ProblemError):
                await client.stylize(CONTENT, [style_file], alpha=2)

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.inside
def test_a_busy_service_is_asked_again(serve, hold, style_file: Path) -> None:
    async def run(address: str, held) -> None:
        async with AsyncClient(address) as client:
            first = asyncio.create_task(client.stylize(CONTENT, [style_file], style_size=64))
            await asyncio.to_thread(held.reached.wait, 20)
            second = asyncio.create_task(client.stylize(CONTENT, [style_file], style_size=64))
            await asyncio.sleep(0.5)  # refused once by now
            assert not second.done()
            held.release()
            assert (await first).picture == (await second).picture

    with serve(max_requests=1) as http:
        asyncio.run(run(str(http.base_url), hold()))
