"""Row 21: the queue and who runs it, against a model of both, in thousands of random stories.

Runs in: the chaos run; the stories (`chaos.queue.queue_story`) in processes of their own, one a core.
"""

import json
import os
import subprocess
import sys

import structlog
from daemon_under_test import TEST_PATH
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from chaos.queue.queue_story import QueueStory
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "The queue against its model"
DEMAND = "5,000 random stories of everything that happens to jobs and daemons: the queue says what the model says"
STORIES, STEPS = 5_000, 20
PROCESSES = 2


def tell_stories(luck: int, stories: int) -> tuple[int, str | None]:
    """How many were told, and how the shortest bad one goes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    limits = settings(
        max_examples=stories,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
        report_multiple_bugs=False,
    )
    try:
        run_state_machine_as_test(seed(luck)(QueueStory), settings=limits)
    except Exception as error:  # noqa: BLE001  the boundary of all stories: whatever a bad one raises is its end
        told = "; ".join(getattr(error, "__notes__", []))
        return QueueStory.stories, f"{type(error).__name__}: {error}; {told}"
    return QueueStory.stories, None


def run(trial: Trial) -> Tally:
    """Hypothesis shrinks what it finds to the shortest story."""
    tally = Tally()
    luck = trial.luck()
    each = max(1, trial.number(STORIES) // PROCESSES)
    command = [sys.executable, "-P", "-m", "chaos.queue.queue_model", str(each)]
    environment = {**os.environ, "PYTHONPATH": TEST_PATH}
    tellers = [
        subprocess.Popen([*command, str(luck.randrange(1 << 32))], env=environment, stdout=subprocess.PIPE)
        for _ in range(PROCESSES)
    ]
    for teller in tellers:
        said, _ = teller.communicate()
        if tally.expect(teller.returncode == 0, f"the stories ended with {teller.returncode}"):
            stories, bad = json.loads(said.splitlines()[-1])
            tally.trials += stories
            tally.expect(bad is None, f"a story ended badly: {bad}")
    tally.figures["steps of a story, at most"] = str(STEPS)
    return tally


if __name__ == "__main__":
    print(json.dumps(tell_stories(int(sys.argv[2]), int(sys.argv[1]))))
