"""Pictures to train on."""

from pathlib import Path

import pytest

from tests.pictures import painting, photo, write_pictures
from training.loop.run import Run


@pytest.fixture(scope="session")
def pairs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of two contents and two styles."""
    painters = {"contents": photo, "styles": painting}
    return write_pictures(tmp_path_factory.mktemp("data"), painters, 2)


def losses_of(run: Run, steps: int | None = None) -> list[dict[str, float]]:
    """Train and save, or stop after some steps; return the losses of each step."""
    losses = []
    for progress in run.train():
        losses.append(progress.values)
        if progress.step == steps:
            break
    run.save()
    return losses
