"""What the daemon says in codes, said in words: phases, signals, and why words have no times.

Runs in: the user's shell.
"""

from client.terminal.output import visible

PHASES = {
    "loading": "loading the model",
    "downloading": "downloading the model",
    "decoding": "reading the recording",
    "speech": "looking for speech",
    "language": "finding the language",
    "transcribing": "transcribing",
    "aligning": "timing words",
    "writing": "writing files",
    "waiting": "waiting",
}
SIGNALS = {
    "SIGSEGV": "a segmentation fault in native code",
    "SIGABRT": "an abort by one of its libraries",
    "SIGBUS": "a bus error in native code",
    "SIGILL": "an instruction this processor does not have",
    "SIGFPE": "an arithmetic fault in native code",
    "SIGKILL": "being killed from outside, by a user or for lack of memory",
    "SIGTERM": "being terminated from outside",
}
DEGRADED = {
    "aligner_crashed": "the aligner crashed on some of it",
    "aligner_unavailable": "the aligner was not there",
    "aligner_timeout": "the aligner took too long",
    "alignment_text_mismatch": "the aligner changed the text and was overruled",
    "alignment_failed": "the aligner found no believable times",
    "recording_changed": "the recording changed or went before its words could be timed",
    "alignment_off": "words were not asked for",
}
REMEDIES = {
    "aligner_unavailable": "nothing: its words are added by themselves once the aligner is back; "
    "`steno status` says how it is",
    "aligner_timeout": "submit it again when the machine has less to do, or raise deadlines.alignment_seconds",
    "aligner_crashed": "submit it again to try once more; with ALIGNMENT_BACKEND=mlx the other aligner does it",
    "alignment_text_mismatch": "nothing: those segments keep their own times; ALIGNMENT_BACKEND=mlx may do better",
    "alignment_failed": "nothing, if music or noise stands there; ALIGNMENT_BACKEND=mlx may do better",
    "recording_changed": "submit the recording as it is now",
}


def phase_words(status: str, phase: str | None) -> str:
    """What is being done, in words."""
    return PHASES.get(phase or status) or visible(phase or status)


def signal_words(signal: str) -> str:
    """What a worker died of: `a segmentation fault in native code (SIGSEGV)`."""
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
    from client.terminal.languages import CODE_OF

    code = reason.partition(":")[2]
    name = next((name for name, known in CODE_OF.items() if known == code), None)
    return f"{name.title()} ({code})" if name else f"`{code}`"
