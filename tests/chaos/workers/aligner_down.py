"""Row 11: an aligner that is not to be had, or does its work badly. Every job finishes with its text and says why it
lacks words, and gains them when an aligner that was down is back.

Runs in: the chaos run.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from eventually import eventually

from chaos.daemon.broken_daemon import STUBS, BrokenDaemon, broken_daemon
from chaos.daemon.oracle import Made, complaint_about_files, make
from chaos.daemon.stub_engines import is_struck
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.workers.worker_chaos import DRAIN_SECONDS, unfinished

TITLE = "The aligner is down"
DEMAND = (
    "it dies on every load, dies on 30 % of the segments, gives NaN, drops words, does not know the language: 500 of "
    "500 done, the text identical, none transcribed twice, all upgraded once it is back"
)


@dataclass(frozen=True, slots=True)
class Mood:
    """One way to be a bad aligner."""

    engine: str
    jobs: int
    reason: str
    """Of a job that it leaves without some words."""


MOODS: Mapping[str, Mood] = {
    "dies on every load": Mood("MoodyAligner", 300, "aligner_unavailable"),
    "dies on 30 % of the segments": Mood("DyingAligner", 50, "aligner_crashed"),
    "gives NaN for 30 %": Mood("NanAligner", 50, "alignment_failed"),
    "drops words of 30 %": Mood("ForgetfulAligner", 50, "alignment_text_mismatch"),
    "does not know the language": Mood("ForeignAligner", 50, "no_alignment_model:en"),
}
SIDE_BY_SIDE = 2
NOT_HUNG = {"STENO_DEADLINES_PROGRESS_SECONDS": "60"}
FRAGILE = {"STENO_RESTARTS_DEATHS_ALLOWED": "3", "STENO_RESTARTS_PROBE_SECONDS": "1"}


def run(trial: Trial) -> Tally:
    """A daemon for each mood."""
    tally = Tally()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        futures = {mood: threads.submit(_mood, trial, mood, Tally()) for mood in MOODS}
    for mood, future in futures.items():
        one = future.result()
        tally.trials += one.trials
        tally.faults += one.faults
        tally.lost += one.lost
        tally.changed += one.changed
        tally.wrong += [f"{mood}: {sentence}" for sentence in one.wrong]
        tally.figures[mood] = one.figures["story"]
    return tally


def _mood(trial: Trial, name: str, tally: Tally) -> Tally:
    mood = MOODS[name]
    luck, folder = trial.luck(name), trial.folder / mood.engine
    folder.mkdir()
    down = folder / "down"
    environment = {
        **STUBS,
        **NOT_HUNG,
        "ALIGNMENT_BACKEND": f"chaos.daemon.stub_engines:{mood.engine}",
        "STUB_DOWN": str(down),
    }
    is_away = mood.engine == "MoodyAligner"
    if is_away:
        environment |= FRAGILE
        down.touch()
    # Of two segments at most: then the policy names the poisonous one before the job's restarts are spent.
    jobs = trial.number(mood.jobs, least=2)
    made = [make(folder / f"{n}.wav", luck.randrange(1 << 30), luck.randint(1, 2)) for n in range(jobs)]
    with broken_daemon(folder / "home", **environment) as daemon:
        if is_away:
            daemon.wait_for_worker("aligner", lambda worker: worker["state"] == "broken", DRAIN_SECONDS)
        of_job = {daemon.submit(one.path): one for one in made}
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all jobs end")
        tally.trials = len(made)
        for job in daemon.jobs():
            one = of_job[job["id"]]
            missing = {text for text in one.texts if is_away or mood.engine == "ForeignAligner" or is_struck(text)}
            _examine(one, job, missing, mood.reason, tally)
        if is_away:
            down.unlink()
            eventually(
                lambda: all(job["timing"] == "word" for job in daemon.jobs()), DRAIN_SECONDS, "all gain their words"
            )
            for job in daemon.jobs():
                _examine(of_job[job["id"]], job, frozenset(), mood.reason, tally)
        tally.faults = _faults(daemon, made, mood)
        tally.figures["story"] = f"{tally.trials} jobs, {tally.faults} faults"
    return tally


def _examine(
    one: Made, job: Mapping[str, Any], missing: set[str] | frozenset[str], reason: str, tally: Tally
) -> None:
    """Its text is what was said, all words are there but those of the segments that could not have any."""
    if job["status"] != "done":
        tally.lost += 1
        tally.wrong.append(f"job {job['id']} is {job['status']}: {job['error']}")
        return
    if complaint := complaint_about_files(one, job, without_words=missing):
        tally.changed += 1
        tally.wrong.append(complaint)
    tally.expect(
        job["degraded_reason"] == (reason if missing else None),
        f"job {job['id']}, of whose {len(one.texts)} segments {len(missing)} fail, says {job['degraded_reason']}",
    )
    done = Counter(attempt["role"] for attempt in job["attempts"] if attempt["outcome"] == "done")
    tally.expect(done["transcriber"] == 1, f"job {job['id']} was transcribed {done['transcriber']} times")


def _faults(daemon: BrokenDaemon, made: Sequence[Made], mood: Mood) -> int:
    """Deaths of the aligner, or what it got wrong without dying."""
    deaths = int(daemon.worker("aligner")["restarts"])
    if mood.engine == "ForeignAligner":
        return len(made)
    return deaths or sum(is_struck(text) for one in made for text in one.texts)
