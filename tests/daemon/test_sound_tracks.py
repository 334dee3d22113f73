"""Sound tracks through a whole daemon: chosen by number and language, and searched until somebody speaks.

Runs in: the test process.
"""

from pathlib import Path

import numpy as np
from daemon_under_test import DaemonUnderTest, a_daemon
from eventually import eventually
from recordings import Samples, silence, tone, voice
from recordings_of_tracks import MadeTrack, with_tracks

SPOKEN = voice()[:96_000]
ALARM = (tone(6, hertz=900) * (np.arange(96_000) // 8000 % 2)).astype(np.int16)
"""Beeps for half a second each: loud, and nobody speaks."""


def several(daemon: DaemonUnderTest, name: str, *tracks: Samples | MadeTrack) -> Path:
    made = [track if isinstance(track, MadeTrack) else MadeTrack(track) for track in tracks]
    return with_tracks(daemon.home / name, made, "flac")


def track_of(job: dict[str, object]) -> tuple[int, list[int]]:
    recording = job["recording"]
    assert isinstance(recording, dict)
    return recording["track"]["number"], [track["number"] for track in recording["other_tracks"]]


def test_a_recording_is_silent_only_when_nobody_speaks_in_any_track() -> None:
    with a_daemon() as daemon:
        found = daemon.finished(daemon.submit(several(daemon, "a.mkv", ALARM, silence(6), SPOKEN)))
        assert track_of(found) == (3, [1, 2])
        transcript = daemon.transcript(found)
        assert transcript["segments"] and not transcript["no_speech"]
        assert transcript["recording"]["track"]["number"] == 3
        assert found["timing"] == "word"
        none = daemon.finished(daemon.submit(several(daemon, "b.mkv", silence(6), ALARM)))
        assert none["status"] == "done" and daemon.transcript(none)["no_speech"]
        assert track_of(none) == (2, [1])
        assert not list((daemon.home / "spool").iterdir())


def test_a_track_is_chosen_by_number_or_language_and_an_unknown_one_is_refused_in_words() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="2") as daemon:
        made = [MadeTrack(SPOKEN, "eng", is_default=True), MadeTrack(SPOKEN[::-1], "ger"), MadeTrack(silence(6))]
        path = several(daemon, "a.mkv", *made)
        jobs = {
            2: daemon.submit(path, track=2, if_exists="suffix"),
            3: daemon.submit(path, track=3, if_exists="suffix"),
            1: daemon.submit(path, if_exists="suffix"),
        }
        german = daemon.submit(path, language="de", if_exists="suffix")
        unknown = daemon.submit(path, track=4, if_exists="suffix")
        for number, job_id in jobs.items():
            assert track_of(daemon.finished(job_id))[0] == number
        assert track_of(daemon.finished(german)) == (2, [1, 3])
        refused = daemon.finished(unknown)
        assert (refused["status"], refused["error"]["code"]) == ("failed", "no_such_track")
        assert "1 (eng, default, flac, 1 channel), 2 (ger" in refused["error"]["message"]


def test_a_watched_folder_takes_the_track_that_its_entry_names() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="2") as daemon:
        folder = daemon.home / "interviews"
        folder.mkdir()
        assert daemon.post("/v1/watches", {"path": str(folder), "options": {"track": 2}}).status_code == 201
        source = several(daemon, "a.mkv", SPOKEN, SPOKEN[::-1])
        source.rename(folder / "a.mkv")
        (job,) = eventually(lambda: daemon.get("/v1/jobs"), 30, "the recording is taken") or ()
        assert track_of(daemon.finished(job["id"])) == (2, [1])
