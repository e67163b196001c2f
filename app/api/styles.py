"""The style library over HTTP: /v1/styles."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from app.api.forms import RenameForm, SaveForm, refuse_repeated
from app.api.multipart import PictureRoute
from app.api.openapi import PICTURE
from app.api.problem_examples import problem_responses
from app.api.scope import STYLES_PATH
from app.api.sources import is_practised
from app.decoding.readers import read_saved
from app.library.rows import THUMBNAIL_FORMAT, SavedStyle
from app.service import CurrentService
from model.errors import AdainError, naming
from model.style import read_style_file

router = APIRouter(prefix=STYLES_PATH, tags=["style library"], route_class=PictureRoute)
MAX_PAGE = 200
# Half a year: the picture of an id never changes.
THUMBNAIL_CACHING = "public, max-age=15552000, immutable"
UNAVAILABLE = ("library-busy", "library-unavailable")
FILES = (
    "body-too-large",
    "image-too-large",
    "unsupported-image",
    "unsupported-body",
    "corrupt-image",
    "library-full",
)
THUMBNAIL_RESPONSE = {
    "description": "At most 256 pixels a side.",
    "content": {f"image/{THUMBNAIL_FORMAT}": PICTURE},
}


class StyleView(BaseModel):
    """A saved style."""

    id: str = Field(examples=["4f1f7a0c2b9d8e63"], description="for `style_id`")
    name: str = Field(examples=["Night sky"])
    created: datetime
    thumbnail: str = Field(examples=["/v1/styles/4f1f7a0c2b9d8e63/thumbnail"])
    practised: bool = Field(description="whether the model was trained for this very style")

    @classmethod
    def of(cls, style: SavedStyle, request: Request) -> StyleView:
        """Return what the client that sent `request` sees of a style."""
        thumbnail = f"{address(style, request)}/thumbnail"
        return cls(
            id=style.id,
            name=style.name,
            created=style.created,
            thumbnail=thumbnail,
            practised=style.practised,
        )


def address(style: SavedStyle, request: Request) -> str:
    """Return the path of a style, under which the client reaches it."""
    return f"{request.scope.get('root_path', '')}{STYLES_PATH}/{style.id}"


class StylePage(BaseModel):
    """Some of the saved styles, in the order in which they were saved."""

    styles: list[StyleView]
    next: int | None = Field(description="`after` of the next page; null where this is the last")


@contextmanager
def naming_name() -> Iterator[None]:
    """Name the field `name` in errors that are about the name."""
    try:
        yield
    except AdainError as error:
        if error.code in ("invalid-parameter", "name-taken"):
            with naming("name"):
                raise
        raise


@router.get(
    "",
    summary="List the saved styles",
    responses=problem_responses("invalid-parameter", *UNAVAILABLE),
)
async def list_styles(
    request: Request,
    service: CurrentService,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="most styles to return")] = 100,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next` of the page before")] = 0,
) -> StylePage:
    """Return a page of styles; one more than asked for is read, to know whether it is the last."""
    library = service.library
    found = await library.run(lambda: library.page(limit + 1, after))
    more = len(found) > limit
    return StylePage(
        styles=[StyleView.of(style, request) for style in found[:limit]],
        next=found[limit - 1].number if more else None,
    )


@router.post(
    "",
    status_code=201,
    summary="Save a style",
    responses=problem_responses("invalid-parameter", "name-taken", *FILES, *UNAVAILABLE),
)
async def save_style(
    request: Request,
    response: Response,
    service: CurrentService,
    form: Annotated[SaveForm, Form(media_type="multipart/form-data")],
) -> StyleView:
    """Save a style picture or a practised style under a name."""
    refuse_repeated(name for name, _ in (await request.form()).multi_items())
    file, practised, library = form.file.file, None, service.library
    if await is_practised(form.file):
        data = await form.file.read()
        with naming("file"):
            practised = await run_in_threadpool(read_style_file, data, service.model.layout)
        file = io.BytesIO(practised.picture)
    reader = partial(read_saved, max_pixels=service.settings.max_pixels)
    picture, _ = await service.decoders.decode("file", file, reader)

    def save() -> SavedStyle:
        with naming_name():
            return library.add(form.name, picture, practised)

    style = await library.run(save)
    response.headers["Location"] = address(style, request)
    return StyleView.of(style, request)


@router.get(
    "/{id}", summary="A saved style", responses=problem_responses("unknown-style", *UNAVAILABLE)
)
async def get_style(request: Request, service: CurrentService, id: str) -> StyleView:
    """Return one style."""
    library = service.library
    return StyleView.of(await library.run(lambda: library.get(id)), request)


@router.get(
    "/{id}/thumbnail",
    summary="A small picture of a saved style",
    responses={200: THUMBNAIL_RESPONSE, **problem_responses("unknown-style", *UNAVAILABLE)},
    response_class=Response,
)
async def get_thumbnail(request: Request, service: CurrentService, id: str) -> Response:
    """Return the thumbnail, or 304 where the client has it."""
    library = service.library
    tag = f'"{id}"'
    headers = {"ETag": tag, "Cache-Control": THUMBNAIL_CACHING}
    known = [each.strip() for each in request.headers.get("if-none-match", "").split(",")]
    if tag in known or f"W/{tag}" in known:
        await library.run(lambda: library.get(id))
        return Response(status_code=304, headers=headers)
    thumbnail = await library.run(lambda: library.thumbnail(id))
    return Response(thumbnail, media_type=f"image/{THUMBNAIL_FORMAT}", headers=headers)


@router.patch(
    "/{id}",
    summary="Rename a saved style",
    responses=problem_responses("unknown-style", "invalid-parameter", "name-taken", *UNAVAILABLE),
)
async def rename_style(
    request: Request, service: CurrentService, id: str, form: Annotated[RenameForm, Form()]
) -> StyleView:
    """Give a style another name; its id stays."""
    refuse_repeated(name for name, _ in (await request.form()).multi_items())
    library = service.library

    def rename() -> SavedStyle:
        with naming_name():
            return library.rename(id, form.name)

    return StyleView.of(await library.run(rename), request)


@router.delete(
    "/{id}",
    status_code=204,
    summary="Delete a saved style",
    responses=problem_responses(*UNAVAILABLE),
)
async def delete_style(service: CurrentService, id: str) -> None:
    """Delete a style; succeeds too if there is no such style."""
    library = service.library
    await library.run(lambda: library.remove(id))
