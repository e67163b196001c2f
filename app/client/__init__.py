"""A client of the service: `Client`, and `AsyncClient` for asyncio. Needs httpx (adain[client]).

with Client("http://127.0.0.1:8000") as client:
    result = client.stylize(Path("photo.jpg"), [Path("painting.jpg")], alpha=0.8)
    Path("out.png").write_bytes(result.picture)
"""

from app.client.calls import ProblemError, SavedStyle, Stylized
from app.client.clients import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "ProblemError", "SavedStyle", "Stylized"]
