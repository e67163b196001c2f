"""Settings: what stops the start, and with which words."""

import pytest
from pydantic import ValidationError

from app.settings import Settings, refuse_unknown_variables
from model.errors import ParameterError


@pytest.mark.parametrize("keys", [",", " , ,", "schl\u00fcssel", "a,b\u0000"])
def test_keys_that_could_not_work_stop_the_start(keys):
    with pytest.raises(ValidationError, match="key"):
        Settings(api_keys=keys)


def test_no_keys_and_good_keys_start():
    assert Settings(api_keys="").api_keys == ()
    assert [key.get_secret_value() for key in Settings(api_keys="a, b,").api_keys] == ["a", "b"]


def test_a_misspelt_variable_stops_the_start_and_the_nearest_is_named():
    with pytest.raises(ParameterError, match="did you mean ADAIN_MAX_PIXELS"):
        refuse_unknown_variables(["PATH", "ADAIN_MAXPIXELS"])
    refuse_unknown_variables(["PATH", "ADAIN_MAX_PIXELS", "ADAIN_DATA_DIR"])


def test_a_machine_without_a_home_can_say_where_its_data_is(monkeypatch):
    def no_home(*_: object) -> None:
        raise RuntimeError("no home")

    monkeypatch.setattr("app.settings.user_data_path", no_home)
    assert str(Settings(data_dir="/data").data_dir) == "/data"
