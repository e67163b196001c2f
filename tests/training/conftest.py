"""Pictures to train on."""

from pathlib import Path

import pytest

from tests.pictures import painting, photo, write_pictures


@pytest.fixture(scope="session")
def pairs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of two contents and two styles."""
    painters = {"contents": photo, "styles": painting}
    return write_pictures(tmp_path_factory.mktemp("data"), painters, 2)
