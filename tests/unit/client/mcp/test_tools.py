"""What the tools make of an agent's wishes and of the daemon's answers.

Runs in: the test process.
"""

import pytest

from client.mcp import tools
from client.mcp.tools import Tools, options_of
from client.terminal.errors import Refusal
from ipc.api_messages import JobOptions, JobView
from ipc.vocabulary import Format, JobStatus

CREATED = "2026-01-02T03:04:05.000+00:00"


class FakeDaemon:
    """Finished jobs that all have the same text, or none."""

    def __init__(self, jobs: int, text: str | None) -> None:
        self.count = jobs
        self.text = text
        self.read: list[tuple[int, Format]] = []

    def jobs(self, status: JobStatus | None = None, limit: int = 100) -> list[JobView]:
        numbers = range(self.count, max(self.count - limit, 0), -1)
        return [JobView(id=number, path=f"/r/{number}.wav", status="done", created_at=CREATED) for number in numbers]

    def transcript(self, job_id: int, format: Format) -> str:
        self.read.append((job_id, format))
        if self.text is None:
            raise Refusal("no_transcript", "no text is stored", "`steno retry` makes it")
        if format == "txt":
            return self.text
        segment = f'{{"id":0,"start":7,"end":8,"text":"{self.text}"}}'
        return (
            f'{{"text":"{self.text}","language":"en","duration":9,"timing":"segment","segments":[{segment}],'
            '"word_segments":[],"engine":{}}'
        )


def searched(daemon: FakeDaemon, query: str, limit: int = 20) -> list[str]:
    return Tools(lambda: daemon).search(query, limit).splitlines()  # type: ignore[arg-type, return-value]


def test_a_search_names_job_time_file_and_line() -> None:
    assert searched(FakeDaemon(1, "good morning"), "Morning") == ["job 1, 0:00:07, 1.wav: good morning"]


def test_a_search_reads_no_more_of_a_recording_without_the_words_than_its_text() -> None:
    daemon = FakeDaemon(3, "good morning")
    assert searched(daemon, "evening") == ["'evening' was not found"]
    assert daemon.read == [(3, "txt"), (2, "txt"), (1, "txt")]


def test_a_search_that_finds_more_than_was_asked_for_says_so() -> None:
    assert searched(FakeDaemon(3, "good morning"), "good", limit=3)[-1].startswith("job 1,")
    *lines, last = searched(FakeDaemon(4, "good morning"), "good", limit=3)
    assert [line.split(",")[0] for line in lines] == ["job 4", "job 3", "job 2"]
    assert last.startswith("(there are more")


def test_a_search_ends_with_the_newest_recordings_and_says_so() -> None:
    assert searched(FakeDaemon(tools.MOST_SEARCHED, "x"), "y") == ["'y' was not found"]
    daemon = FakeDaemon(tools.MOST_SEARCHED + 1, "x")
    assert searched(daemon, "y") == ["(only the newest 300 finished recordings were searched)"]
    assert len(daemon.read) == tools.MOST_SEARCHED


def test_a_search_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "SEARCH_SECONDS", -1.0)
    assert searched(FakeDaemon(2, "x"), "x") == ["(only the newest 0 finished recordings were searched)"]


def test_a_recording_without_a_stored_text_ends_no_search() -> None:
    assert searched(FakeDaemon(2, None), "x") == ["'x' was not found"]


def test_a_language_may_be_named_and_detected() -> None:
    assert options_of("English", "starter") == JobOptions(language="en", model="starter")
    assert options_of("auto", None) == options_of(None, None) == JobOptions()


@pytest.mark.parametrize(("language", "model"), [("Klingonese", None), (None, "m" * 5000), (None, "")])
def test_what_no_job_can_have_is_refused_with_a_hint(language: str | None, model: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        options_of(language, model)
    assert refused.value.code == "bad_option"
    assert refused.value.hint
