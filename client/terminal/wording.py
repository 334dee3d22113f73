"""What the daemon says in codes, said in words: phases, signals, and why words have no times.

Runs in: the user's shell.
"""

from client.terminal.output import visible

PHASES = {
    "loading": "loading the model",
    "downloading": "downloading the model",
    "decoding": "reading the recording",
    "speech": "detecting speech",
    "language": "detecting the language",
    "transcribing": "transcribing",
    "aligning": "timing words",
    "paused": "paused for an urgent job",
    "writing": "writing files",
    "waiting": "waiting",
}
SIGNALS = {
    "SIGSEGV": "segmentation fault in native code",
    "SIGABRT": "aborted by one of its libraries",
    "SIGBUS": "bus error in native code",
    "SIGILL": "an instruction that this processor does not have",
    "SIGFPE": "arithmetic fault in native code",
    "SIGKILL": "killed from outside, by a user or for lack of memory",
    "SIGTERM": "terminated from outside",
}
DEGRADED = {
    "aligner_crashed": "the aligner crashed on some of it",
    "aligner_unavailable": "the aligner was not available",
    "aligner_timeout": "the aligner took too long",
    "alignment_text_mismatch": "the aligner changed the text, so its times were discarded",
    "alignment_failed": "the aligner found no plausible times",
    "recording_changed": "the recording changed or was removed before its words could be timed",
    "alignment_off": "word times were not requested",
}
REMEDIES = {
    "aligner_unavailable": "nothing: word times are added automatically once the aligner is back; see `steno status`",
    "aligner_timeout": "submit it again when the machine is less busy, or raise deadlines.alignment_seconds",
    "aligner_crashed": "submit it again to try once more; ALIGNMENT_BACKEND=mlx uses the other aligner",
    "alignment_text_mismatch": "nothing: those segments keep segment times; ALIGNMENT_BACKEND=mlx may do better",
    "alignment_failed": "nothing, if that part is music or noise; ALIGNMENT_BACKEND=mlx may do better",
    "recording_changed": "submit the recording as it is now",
}


def counted(number: int, thing: str) -> str:
    """`1 restart`, `2 restarts`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def phase_words(status: str, phase: str | None) -> str:
    """The present step, in words."""
    return PHASES.get(phase or status) or visible(phase or status)


def signal_words(signal: str) -> str:
    """How a worker crashed: `segmentation fault in native code (SIGSEGV)`."""
    words = SIGNALS.get(signal)
    return f"{words} ({signal})" if words else visible(signal)


def degraded_words(reason: str) -> str:
    """A `degraded_reason` in words."""
    if reason.startswith("no_alignment_model:"):
        return visible(f"no alignment model for {_language_of(reason)}")
    return DEGRADED.get(reason) or visible(reason.replace("_", " "))


def remedy(reason: str) -> str:
    """What a person can do about it; empty where that is not known."""
    if reason.startswith("no_alignment_model:"):
        return visible(
            f"set alignment_model to one that knows {_language_of(reason)}, or ALIGNMENT_BACKEND=mlx, "
            "which needs none; then submit it again"
        )
    return REMEDIES.get(reason, "")


def _language_of(reason: str) -> str:
    from config.model_names import CODE_OF

    code = reason.partition(":")[2]
    name = next((name for name, known in CODE_OF.items() if known == code), None)
    return f"{name.title()} ({code})" if name else f"`{code}`"
