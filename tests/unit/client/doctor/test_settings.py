"""What doctor makes of the settings."""

from pathlib import Path

from client.doctor.run import case_of
from client.doctor.settings import settings_findings


def test_a_folder_of_engines_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    environment = {"STENO_HOME": str(tmp_path), "STENO_WORKERS_ENGINE_PATH": f"{tmp_path}:/no/such/folder"}
    missing = [one for one in settings_findings(case_of(environment, ())) if one.state != "ok"]
    assert [(one.check, one.state, one.what) for one in missing] == [
        ("engine_path", "warning", "workers.engine_path: there is no folder /no/such/folder")
    ]
