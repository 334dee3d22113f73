"""The system-call filter, run by a small BPF machine: what it says of a call on either processor."""

import pytest

from workers.sandbox.seccomp import (
    AND,
    ARCHITECTURES,
    AT_LEAST,
    CALLS,
    CLONE3,
    CONDITIONAL,
    EQUAL,
    LOAD,
    RET_ALLOW,
    RET_ENOSYS,
    RET_EPERM,
    RET_KILL,
    RETURN,
    Architecture,
    as_bytes,
    filter_program,
)

OWN_PID = 4711
MOST_STEPS = 4096
"""BPF_MAXINSNS."""


def verdict(machine: Architecture, number: int, *arguments: int, audit_number: int | None = None) -> int:
    """What the kernel would do with this call."""
    words = {0: number, 4: machine.audit_number if audit_number is None else audit_number}
    for position in range(6):
        argument = arguments[position] if position < len(arguments) else 0
        words[16 + 8 * position] = argument & 0xFFFFFFFF
        words[20 + 8 * position] = argument >> 32 & 0xFFFFFFFF
    program, at, held = filter_program(machine, OWN_PID), 0, 0
    while True:
        step = program[at]
        at += 1
        match step.operation:
            case o if o == LOAD:
                held = words[step.word]
            case o if o == AND:
                held &= step.word
            case o if o == EQUAL:
                at += step.if_true if held == step.word else step.if_false
            case o if o == AT_LEAST:
                at += step.if_true if held >= step.word else step.if_false
            case o if o == RETURN:
                return step.word
            case _:
                raise AssertionError(step)


@pytest.fixture(params=sorted(ARCHITECTURES))
def machine(request: pytest.FixtureRequest) -> Architecture:
    return ARCHITECTURES[request.param]


def number(name: str, machine: Architecture) -> int:
    return CONDITIONAL[name][0][machine.column]


def test_the_calls_that_decoding_needs_are_let_through(machine: Architecture) -> None:
    for name, numbers in CALLS.items():
        if (known := numbers[machine.column]) is not None:
            assert verdict(machine, known) == RET_ALLOW, name


def test_every_other_call_is_refused_whatever_its_number(machine: Architecture) -> None:
    known = {numbers[machine.column] for numbers in CALLS.values()}
    known |= {both[machine.column] for both, _ in CONDITIONAL.values()}
    for unknown in set(range(1024)) - known:
        expected = RET_ENOSYS if unknown == CLONE3[machine.column] else RET_EPERM
        assert verdict(machine, unknown, 0, 0, 0) == expected


def test_calls_in_another_machines_numbers_end_the_process(machine: Architecture) -> None:
    assert verdict(machine, 1, audit_number=0x40000003) == RET_KILL
    assert verdict(machine, 0x40000000 | 1) == RET_KILL


@pytest.mark.parametrize(
    ("name", "arguments", "allowed"),
    [
        ("mmap", (0, 4096, 3, 0x22), True),
        ("mmap", (0, 4096, 7, 0x22), False),
        ("mmap", (0, 4096, 4, 0x22), False),
        ("mprotect", (0, 4096, 1), True),
        ("mprotect", (0, 4096, 5), False),
        ("fcntl", (3, 0), True),
        ("fcntl", (3, 3), True),
        ("fcntl", (3, 4), False),
        ("fcntl", (3, 8), False),
        ("newfstatat", (3, 0, 0, 0x1000), True),
        ("newfstatat", (3, 0, 0, 0), False),
        ("statx", (3, 0, 0x1000), True),
        ("statx", (3, 0, 0x100), False),
        ("prlimit64", (0, 7, 0), True),
        ("prlimit64", (0, 7, 0x7FFF_0000_0001), False),
        ("prlimit64", (0, 7, 0x7FFF_0000_0000), False),
        ("kill", (OWN_PID, 11), True),
        ("kill", (1, 9), False),
        ("kill", (-1, 9), False),
        ("kill", (0, 9), False),
        ("tgkill", (OWN_PID, OWN_PID, 6), True),
        ("tgkill", (1, 1, 6), False),
        ("clone", (0x003D0F00,), True),
        ("clone", (17,), False),
        ("clone", (0x10000 | 0x40000000,), False),
        ("clone", (0x4111,), False),
    ],
)
def test_some_calls_are_let_through_with_harmless_arguments_alone(
    name: str, arguments: tuple[int, ...], allowed: bool, machine: Architecture
) -> None:
    assert verdict(machine, number(name, machine), *arguments) == (RET_ALLOW if allowed else RET_EPERM)


def test_the_program_is_one_that_the_kernel_takes(machine: Architecture) -> None:
    program = filter_program(machine, OWN_PID)
    assert len(program) <= MOST_STEPS
    assert len(as_bytes(program)) == 8 * len(program)
    for at, step in enumerate(program):
        assert at + 1 + max(step.if_true, step.if_false) < len(program) or step.operation == RETURN
        assert max(step.if_true, step.if_false) < 256
