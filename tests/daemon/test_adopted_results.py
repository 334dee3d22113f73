"""The queue is lost, and what it did lies in the watched folder: nothing is done twice, nothing is touched.

Runs in: the test process.
"""

import json
import os
import shutil
from pathlib import Path

from daemon_under_test import DaemonUnderTest, a_daemon
from eventually import eventually
from recordings import tone, wav


def dropped(daemon: DaemonUnderTest, name: str, hertz: float) -> None:
    """As a whole file, in one step."""
    daemon.inbox.mkdir(exist_ok=True)
    hidden = wav(daemon.inbox / ".new", tone(2.0, hertz=hertz))
    os.replace(hidden, daemon.inbox / name)  # noqa: PTH105


def done(daemon: DaemonUnderTest) -> int:
    return int(daemon.get("/v1/status")["queue"]["done"])


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def without_queue(daemon: DaemonUnderTest) -> None:
    daemon.stop()
    shutil.rmtree(daemon.home / "state")
    daemon.start()


def adopted(daemon: DaemonUnderTest) -> list[str]:
    events = [json.loads(line) for line in daemon.log.read_text().splitlines() if line.startswith("{")]
    return sorted(Path(event["path"]).name for event in events if event["event"] == "results_adopted")


def test_results_that_say_whose_they_are_are_adopted_when_the_queue_is_lost() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="1", STENO_OUTPUT_NAME="{stem}.{language}") as daemon:
        for number, name in enumerate(("a.wav", "b.wav")):
            dropped(daemon, name, 440.0 + 100 * number)
        eventually(lambda: done(daemon) == 2, 60)
        transcript = daemon.inbox / "a.en.json"
        transcript.write_text(transcript.read_text().replace('"text"', '"text" ', 1))
        before = everything_in(daemon.inbox)
        without_queue(daemon)
        eventually(lambda: adopted(daemon) == ["a.wav", "b.wav"], 30)
        # One that has the name of another's results is done for itself.
        dropped(daemon, "b.wav", 880.0)
        eventually(lambda: done(daemon) == 1, 60)
        after = everything_in(daemon.inbox)
        assert {name for name in before if before[name] != after[name]} == {"b.wav"}
        assert set(after) - set(before) == {"b.en (2).json", "b.en (2).srt"}
        daemon.stop()
        daemon.start()
        assert done(daemon) == 1
