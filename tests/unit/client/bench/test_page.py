"""The table of `steno bench`, for the terminal and to be shown around.

Runs in: the test process.
"""

from drawn_views import drawn, looks_as_before

from client.bench.measure import Figures, NotMeasured, Took
from client.bench.page import BenchView, bench_markdown, bench_page
from client.machine.specs import Machine, chip_in, this_machine

MAC = Machine(
    chip="Apple M4 Pro",
    cores=12,
    fast_cores=8,
    memory_bytes=24 * 2**30,
    system="macOS 15.1",
    python="3.12.8",
    versions={"stenod": "0.1.0", "mlx": "0.32.4", "mlx-whisper": "0.4.3", "whisperx": "3.8.6", "torch": "2.8.0"},
)


def took(seconds: float) -> Took:
    return Took(seconds=seconds, fastest_seconds=seconds * 0.9, slowest_seconds=seconds * 1.2)


TURBO = Figures(
    model="large-v3-turbo",
    engine="mlx",
    device="metal",
    aligner="whisperx WAV2VEC2_ASR_BASE_960H",
    audio_seconds=49.8,
    load_seconds=1.92,
    aligner_load_seconds=2.4,
    first_job_seconds=3.1,
    transcription=took(1.25),
    alignment=took(0.51),
    end_to_end=took(1.4),
    memory_bytes={"transcriber": 2_100_000_000, "aligner": 910_000_000},
)
WORDLESS = TURBO.model_copy(
    update={"model": "my own", "aligner": None, "alignment": None, "note": "alignment is off"}
)
MISSING = NotMeasured(model="large-v3", why="needs model large-v3: run `steno models pull large-v3`")
VIEW = BenchView(machine=MAC, recording="talk.flac", runs=5, models=(TURBO, WORDLESS), not_measured=(MISSING,))


def test_the_table_looks_as_it_should() -> None:
    disturbed = VIEW.model_copy(update={"disturbed_by": "your daemon runs too"})
    looks_as_before("bench", bench_page(disturbed))
    assert max(map(len, drawn(bench_page(disturbed), 80).splitlines())) <= 80


def test_the_markdown_is_a_table_of_one_line_a_model() -> None:
    lines = [line for line in bench_markdown(VIEW).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 2
    assert {line.count("|") for line in lines} == {9}
    assert lines[2] == (
        "| large-v3-turbo | mlx on metal | 1.92 s | 3.10 s | 1.25 s, 40× | 0.51 s, 98× | 1.40 s, 36× "
        "| 2.1 GB + 910 MB |"
    )


def test_where_nothing_could_be_measured_there_is_no_table_but_a_reason() -> None:
    nothing = VIEW.model_copy(update={"models": ()})
    for page in (drawn(bench_page(nothing)), bench_markdown(nothing)):
        assert "large-v3: not measured: needs model large-v3" in page
        assert "RTF" not in page and "|---" not in page


def test_this_machine_has_a_name_and_a_size_and_tells_nothing_of_its_owner() -> None:
    machine = this_machine()
    assert machine.chip and machine.system and machine.cores >= 1 and machine.memory_bytes > 2**30
    assert "stenod" in machine.versions
    assert chip_in("processor : 0\nmodel name\t: Intel(R)  Core(TM) i7 \n") == "Intel(R) Core(TM) i7"
    assert chip_in("processor : 0\nCPU part : 0xd0c\n") == ""
