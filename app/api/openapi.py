"""What the OpenAPI document says of POST /v1/stylize, and of pictures."""

from __future__ import annotations

from typing import Any

from app.api.problem_examples import problem_responses
from model.formats import WRITE_FORMATS

DESCRIPTION = """
The stylized picture, in one forward pass.

```sh
# One style, as PNG
curl -F content=@photo.jpg -F style=@painting.jpg HOST/v1/stylize -o out.png

# Half strength, a 1024 pixel JPEG
curl -F content=@photo.jpg -F style=@painting.jpg -F alpha=0.5 -F size=1024 -F format=jpeg \\
     HOST/v1/stylize -o out.jpg

# More of the photo's lines and shapes, in full strength
curl -F content=@photo.jpg -F style=@painting.jpg -F detail=1 HOST/v1/stylize -o out.png

# Two styles, three parts to one, in the photo's own colours
curl -F content=@photo.jpg -F style=@a.jpg -F style=@b.jpg -F weight=3 -F weight=1 \\
     -F preserve_color=true HOST/v1/stylize -o out.png

# A style of the library: GET /v1/styles has the ids
curl -F content=@photo.jpg -F style_id=4f1f7a0c2b9d8e63 HOST/v1/stylize -o out.png

# A style for the sky alone
curl -F content=@photo.jpg -F style=@night.jpg -F mask=@sky.png HOST/v1/stylize -o out.png
```

`Server-Timing` tells the milliseconds of read, decode, queue, style, model, encode, and of refine
where the result was to be refined.
"""
PICTURE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture.",
        "content": {f"image/{name}": PICTURE for name in WRITE_FORMATS},
    },
    **problem_responses(
        "malformed-body",
        "unknown-style",
        "not-acceptable",
        "upload-too-slow",
        "body-too-large",
        "image-too-large",
        "unsupported-image",
        "unsupported-body",
        "invalid-parameter",
        "corrupt-image",
        "queue-full",
        "library-busy",
        "library-unavailable",
        "deadline-passed",
    ),
}
