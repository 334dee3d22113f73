"""Passages of a transcript that an agent reads, and the lines in which it finds a query.

Runs in: the test process.
"""

import json

import pytest

from client.mcp.passages import Passage, clock, folded, hits, json_lines, passage, subtitles, timed_lines
from ipc.transcript import Segment, Word

FOREVER = float("inf")
LINES = [
    Segment(id=0, start=0.5, end=4.0, text='Anna said "yes" to the budget'),
    Segment(id=1, start=4.0, end=9.25, text="for the café in March."),
    Segment(id=2, start=9.25, end=12.0, text="Nobody objected.", words=(Word(word="Nobody", start=9.5, end=10),)),
]
SRT = "1\n00:00:00,500 --> 00:00:04,000\nAnna said\nyes\n\n2\n00:01:04,250 --> 00:01:09,250\nfor the café\n\n"


def found(query: str) -> list[tuple[float, str]]:
    return list(hits(LINES, folded(query).split()))


def test_a_passage_has_the_lines_that_reach_into_its_time() -> None:
    assert passage(timed_lines(LINES), 2, 9.25, 1000) == Passage(
        '[0:00:00] Anna said "yes" to the budget\n[0:00:04] for the café in March.', None
    )
    assert passage(timed_lines(LINES), 12, FOREVER, 1000) == Passage("", None)


def test_a_cut_passage_has_whole_lines_and_says_where_it_continues() -> None:
    first = passage(timed_lines(LINES), 0, FOREVER, 75)
    assert first == Passage('[0:00:00] Anna said "yes" to the budget\n[0:00:04] for the café in March.', 9.25)
    assert passage(timed_lines(LINES), 9.25, FOREVER, 75) == Passage("[0:00:09] Nobody objected.", None)


@pytest.mark.parametrize("most", range(39, 110))
def test_every_line_is_read_once_whatever_fits(most: int) -> None:
    read, at = [], 0.0
    while True:
        found = passage(timed_lines(LINES), at, FOREVER, most)
        assert len(found.text) <= most
        read += found.text.splitlines()
        if found.continues_at is None:
            break
        at = found.continues_at
    assert read == [piece.shown for piece in timed_lines(LINES)]


def test_where_not_one_line_fits_the_length_that_would_is_told() -> None:
    with pytest.raises(ValueError, match=r"^39$"):
        passage(timed_lines(LINES), 0, FOREVER, 38)


def test_json_has_one_whole_object_a_line() -> None:
    cut = passage(json_lines(LINES), 0, FOREVER, 200)
    assert cut.continues_at is not None
    assert [json.loads(line)["start"] for line in cut.text.splitlines()] == [0.5, 4.0]
    last = passage(json_lines(LINES), cut.continues_at, FOREVER, 200)
    assert json.loads(last.text)["words"] == [{"word": "Nobody", "start": 9.5, "end": 10.0}]


def test_subtitles_stay_as_the_daemon_wrote_them() -> None:
    assert passage(subtitles(SRT), 0, FOREVER, 1000).text.split("\n") == [*SRT.rstrip("\n").split("\n"), ""]
    assert passage(subtitles(SRT), 60, FOREVER, 1000).text.startswith("2\n00:01:04,250")


@pytest.mark.parametrize("query", ['said "yes"', "SAID anna", "budget", "udge", "budget yes"])
def test_a_line_is_found_by_its_words_in_any_order(query: str) -> None:
    assert found(query) == [(0.5, LINES[0].text)]


def test_case_and_accents_do_not_matter() -> None:
    assert found("CAFE") == found("Café") == [(4.0, LINES[1].text)]


def test_words_that_only_two_neighbours_hold_together_are_found_once() -> None:
    assert found("budget for the café") == [(0.5, f"{LINES[0].text} {LINES[1].text}")]
    assert found("budget objected") == []


def test_a_time_is_told_as_a_player_shows_it() -> None:
    assert [clock(seconds) for seconds in (0.999, 61, 36_000)] == ["0:00:00", "0:01:01", "10:00:00"]
