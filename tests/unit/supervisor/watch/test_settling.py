"""When a file counts as finished."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.disks.file_identity import FileIdentity
from supervisor.watch.settling import Sighting, seen_again

SETTLE_SECONDS = 5.0
identities = st.builds(
    FileIdentity,
    device=st.integers(0, 3),
    inode=st.integers(0, 3),
    size=st.integers(0, 3),
    # Any mtime, the far future included: what counts is that it stays.
    mtime_ns=st.sampled_from([0, 1, 2**62]),
)


@given(st.lists(st.tuples(st.floats(0.001, 10.0), identities), min_size=1))
def test_a_settled_file_was_the_same_and_not_empty_for_the_whole_time(
    looks: list[tuple[float, FileIdentity]],
) -> None:
    now = 0.0
    history: list[tuple[float, FileIdentity]] = []
    sighting: Sighting | None = None
    for passed_seconds, identity in looks:
        now += passed_seconds
        history.append((now, identity))
        sighting = seen_again(sighting, identity, now)
        # The run of equal looks that ends with this one.
        since = now
        for at, earlier in reversed(history):
            if earlier != identity:
                break
            since = at
        assert sighting.is_settled(now, SETTLE_SECONDS) == (identity.size > 0 and now - since >= SETTLE_SECONDS)


def test_without_a_settle_time_a_file_is_taken_at_the_first_look_even_if_the_scan_began_before() -> None:
    sighting = Sighting(FileIdentity(1, 2, size=3, mtime_ns=4), unchanged_since=10.0)
    assert sighting.is_settled(now=9.0, settle_seconds=0.0)
    assert not sighting.is_settled(now=9.0, settle_seconds=0.1)
