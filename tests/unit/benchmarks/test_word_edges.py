"""How far off timed words are, as the benchmark counts it."""

from benchmarks.accuracy.word_times_row import edges_of
from benchmarks.speech.speech_folder import TimedWord


def test_words_are_compared_edge_by_edge_and_those_around_pauses_apart() -> None:
    truth = (TimedWord("one", 1.0, 1.5, True, False), TimedWord("two", 1.5, 2.0, False, True))
    timed = ({"start": 1.02, "end": 1.5}, {"start": 1.46, "end": 2.3})
    edges = edges_of(list(zip(truth, timed, strict=True)), known=3)
    assert [round(one) for one in edges.starts] == [20, -40] and [round(one) for one in edges.ends] == [0, 300]
    assert round(edges.start_median) == 30 and round(edges.start_tail) == 40 and round(edges.end_tail) == 300
    assert (round(edges.end_before_pause_median), edges.late_percent) == (300, 100)
    assert round(edges.around_pauses_median) == 160
