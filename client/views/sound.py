"""Which track and which channels of a recording were heard, where there was a choice, in words.

Runs in: the user's shell.
"""

from client.terminal.output import visible
from ipc.transcript import RecordingFacts, Track

USUAL_MIXES = ("mono", "mix", None)
MOST_TRACKS_NAMED = 8


def sound_words(recording: RecordingFacts | None) -> str | None:
    """`track 2 ("Mic", deu) of 3; not heard: 1 (eng), 3; channel 4`. None where there was nothing to choose."""
    if recording is None:
        return None
    told: list[str] = []
    if recording.track is not None and recording.other_tracks:
        others = [_track(track) for track in recording.other_tracks[:MOST_TRACKS_NAMED]]
        more = len(recording.other_tracks) - len(others)
        told.append(f"track {_track(recording.track)} of {len(recording.other_tracks) + 1}")
        told.append(f"not heard: {', '.join(others)}{f' and {more} more' if more else ''}")
    if recording.channels_used not in USUAL_MIXES:
        told.append(visible(recording.channels_used or ""))
    return "; ".join(told) or None


def _track(track: Track) -> str:
    about = ", ".join(filter(None, (None if track.title is None else f'"{visible(track.title)}"', track.language)))
    return f"{track.number} ({about})" if about else str(track.number)
