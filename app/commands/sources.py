"""Where the command line reads pictures from: files, standard input, addresses, the clipboard."""

from __future__ import annotations

import io
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from PIL import ImageGrab

from model.errors import ParameterError

STANDARD_INPUT = "-"
CLIPBOARD = "clipboard:"
ADDRESS = "https://"
# What a download may take.
MAX_BYTES = 64 * 2**20
SECONDS = 60.0
SILENCE_SECONDS = 10.0
CHUNK = 2**16


def is_file(source: str) -> bool:
    """Whether a source is a path, and not standard input, an address or the clipboard."""
    return source not in (STANDARD_INPUT, CLIPBOARD) and not source.startswith(ADDRESS)


def stem_of(source: str) -> str:
    """Return the name of a source without its suffix."""
    if source == STANDARD_INPUT:
        return "stdin"
    if source == CLIPBOARD:
        return "clipboard"
    if source.startswith(ADDRESS):
        return PurePosixPath(unquote(urlsplit(source).path)).stem or urlsplit(source).netloc
    return Path(source).stem


def read_source(source: str) -> bytes:
    """Return the bytes of a source.

    Raises:
        ParameterError: an address cannot be read, the clipboard holds no picture, or standard
            input is a terminal.
        OSError: a file cannot be read.
    """
    if source == STANDARD_INPUT:
        if sys.stdin.isatty():
            raise ParameterError("send a picture to standard input, as in < photo.jpg")
        return sys.stdin.buffer.read()
    if source == CLIPBOARD:
        return read_clipboard()
    if source.startswith(ADDRESS):
        return download(source)
    return Path(source).read_bytes()


def read_clipboard() -> bytes:
    """Return the picture in the clipboard as a file.

    Raises:
        ParameterError: it holds none, or this platform gives no access to it.
    """
    try:
        found = ImageGrab.grabclipboard()
    except (NotImplementedError, OSError) as error:
        raise ParameterError(f"the clipboard cannot be read here: {error}") from error
    if isinstance(found, list) and found:  # copied files
        return Path(found[0]).read_bytes()
    if found is None or isinstance(found, list):
        raise ParameterError("the clipboard holds no picture: copy one first")
    file = io.BytesIO()
    found.save(file, "PNG")
    return file.getvalue()


def download(address: str) -> bytes:
    """Return the file at an https address, at most 64 MiB within a minute.

    Raises:
        ParameterError: the address cannot be read, or leads elsewhere than to https.
    """
    request = urllib.request.Request(address, headers={"User-Agent": "adain"})
    deadline = time.monotonic() + SECONDS
    try:
        with opener().open(request, timeout=SILENCE_SECONDS) as response:
            data = bytearray()
            while chunk := response.read(CHUNK):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise ParameterError(f"{address}: more than {MAX_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise ParameterError(f"{address}: took more than {SECONDS:g} seconds")
    except (urllib.error.URLError, TimeoutError, ValueError, OSError) as error:
        raise ParameterError(f"{address}: {getattr(error, 'reason', error)}") from error
    return bytes(data)


def opener() -> urllib.request.OpenerDirector:
    """Return what opens https addresses alone, also where one leads to another."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.UnknownHandler,
    ):
        director.add_handler(handler())
    return director
