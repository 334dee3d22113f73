"""Row 1: a memo of 12 s, handed over by a command line and waited for.

Runs in: the benchmark.
"""

import subprocess
import time

from recordings import MEMO

from benchmarks.contestants.contestant import PEERS, ContestantFailed, peers_environment
from benchmarks.course import Course
from benchmarks.daemon.served_daemon import served_daemon
from benchmarks.figures import Demand, Section, Series, ratio

TITLE = "A memo of 12 s from the command line"
OURS, THEIRS = "`steno submit --wait`, warm", "`whisperx`"
COMMAND_SECONDS = 600.0


def memo(course: Course) -> Section:
    """Both write json, srt, vtt, txt and tsv with words."""

    def whisperx() -> float:
        command = [
            *(str(PEERS / "whisperx"), str(MEMO), "--model", str(course.whisper)),
            *("--align_model", str(course.aligner), "--compute_type", "int8", "--device", "cpu"),
            *("--threads", str(course.threads), "--language", "en", "--output_dir", str(course.folder / "whisperx")),
        ]
        began = time.perf_counter()
        done = subprocess.run(
            command, env=peers_environment(course.threads), capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise ContestantFailed(f"whisperx ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return seconds

    with served_daemon(None) as daemon:
        sides = {OURS: lambda: daemon.submit_and_wait(MEMO), THEIRS: whisperx}
        # Files of both are in the page cache from here on.
        course.in_turns(sides, runs=1)
        seconds = course.in_turns(sides)
    return Section(
        title=TITLE,
        setting=f"`{MEMO.name}`, words included; tiny.en in int8, the starter aligner, language given; the "
        "whole command from its start to its end. The daemon is warm; the peer is a program that is started again.",
        series=tuple(Series(name, "s", tuple(seconds[name])) for name in sides),
        demands=(Demand("times faster than `whisperx`", ratio(seconds[THEIRS], seconds[OURS]), "≥", 10, "×"),),
    )
