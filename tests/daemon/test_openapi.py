"""/v1/openapi.json tells of every answer, and the answers are as it tells.

Runs in: the test process. Row 16 of tests/chaos has schemathesis look for what is not.
"""

import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from running_api import RunningApi

from config.field_types import NAME_FIELDS, name_template
from ipc.api_messages import AddWatch, SubmitFile


@pytest.fixture
async def daemon() -> AsyncIterator[RunningApi]:
    with tempfile.TemporaryDirectory(prefix="steno-", dir="/tmp") as folder:
        async with RunningApi(Path(folder) / "run" / "stenod.sock")() as running:
            yield running


async def described(daemon: RunningApi) -> dict[str, Any]:
    answer: dict[str, Any] = (await daemon.client.get("/v1/openapi.json")).json()
    return answer


async def test_every_refusal_is_described_as_the_problem_it_is(daemon: RunningApi) -> None:
    description = await described(daemon)
    assert set(description["components"]["schemas"]["Problem"]["properties"]) == {"status", "code", "detail", "hint"}
    assert "HTTPValidationError" not in str(description)  # FastAPI's own, which we never send
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
            assert {"400", "403", "408", "422", "500", "503", "507"} <= set(refusals), (method, path)
            for status, answer in refusals.items():
                assert "application/problem+json" in answer["content"], (method, path, status)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/jobs/99", None),
        ("POST", "/v1/workers/aligner/restart", None),
        ("POST", "/v1/jobs", b'"' + b"x" * 70_000 + b'"'),
        ("GET", "/v1/jobs?limit=0", None),
    ],
)
async def test_what_is_refused_was_described(daemon: RunningApi, method: str, path: str, body: bytes | None) -> None:
    answer = await daemon.client.request(method, path, content=body)
    operations = (await described(daemon))["paths"]
    here = next(known for known in operations if re.fullmatch(re.sub(r"{\w+}", "[^/]+", known), path.split("?")[0]))
    assert str(answer.status_code) in operations[here][method.lower()]["responses"]


async def test_a_request_may_have_a_name_that_makes_it_one_job_and_a_bad_one_is_refused(daemon: RunningApi) -> None:
    submit = (await described(daemon))["paths"]["/v1/jobs"]["post"]
    (header,) = [one for one in submit["parameters"] if one["in"] == "header"]
    assert (header["name"], header["required"]) == ("idempotency-key", False)
    for bad in ("", "a b", "k" * 256):
        answer = await daemon.client.post("/v1/jobs", json={"path": "/a"}, headers={"Idempotency-Key": bad})
        assert (answer.status_code, daemon.desk.asked) == (422, [])
    answer = await daemon.client.post("/v1/jobs", json={"path": "/a"}, headers={"Idempotency-Key": "k" * 255})
    assert answer.status_code == 201


async def test_forgetting_and_checking_are_described(daemon: RunningApi) -> None:
    paths = (await described(daemon))["paths"]
    assert {"204", "404", "409"} <= set(paths["/v1/jobs/{job_id}"]["delete"]["responses"])
    assert "/v1/check" in paths and "CheckView" in str(paths["/v1/check"]["post"]["responses"]["200"])


async def test_a_transcript_and_events_are_described_with_their_types(daemon: RunningApi) -> None:
    paths = (await described(daemon))["paths"]
    transcript = paths["/v1/jobs/{job_id}/transcript"]["get"]["responses"]["200"]["content"]
    assert {"application/json", "application/x-subrip", "text/vtt"} < set(transcript)
    assert set(paths["/v1/events"]["get"]["responses"]["200"]["content"]) == {"text/event-stream"}


async def test_a_method_that_is_not_allowed_is_told_with_those_that_are(daemon: RunningApi) -> None:
    """RFC 9110, 15.5.6; all of them, though each method of a path is an endpoint of its own."""
    assert (await daemon.client.put("/v1/jobs")).headers["allow"] == "GET, POST"
    assert (await daemon.client.request("TRACE", "/v1/watches")).headers["allow"] == "DELETE, GET, POST"
    assert "allow" not in (await daemon.client.get("/v1/nothing")).headers


async def test_a_nul_in_the_name_of_a_replacement_is_refused(daemon: RunningApi) -> None:
    for replacements in ({"\0": "x"}, {"x": "\0"}):
        answer = await daemon.client.post("/v1/jobs", json={"path": "/a", "options": {"replacements": replacements}})
        assert (answer.status_code, "NUL" in answer.json()["detail"]) == (422, True)
    assert daemon.desk.asked == []


async def test_a_number_is_not_taken_for_a_truth(daemon: RunningApi) -> None:
    answer = await daemon.client.post("/v1/jobs", json={"path": "/a", "options": {"highlight_words": 0}})
    assert (answer.status_code, daemon.desk.asked) == (422, [])


def pattern_of(schema: dict[str, Any]) -> str:
    kinds = schema.get("anyOf", [schema])
    return next(str(kind["pattern"]) for kind in kinds if "pattern" in kind)


def test_the_described_pattern_of_a_name_template_is_what_the_settings_take() -> None:
    described = pattern_of(SubmitFile.model_json_schema()["$defs"]["JobOptions"]["properties"]["output_name"])
    fields = [f"{{{field}}}" for field in NAME_FIELDS]
    tried = [*fields, *(f"{one} {{stem}}.{other}" for one in fields for other in fields)]
    tried += [
        "{{stem}}",
        "{{{stem}}}",
        "{stem",
        "stem}",
        "a/{stem}",
        "{size}",
        "{}",
        "{stem}\0",
        "plain",
        "{name}{{}}",
    ]
    for template in tried:
        try:
            name_template(template)
        except ValueError:
            assert re.search(described, template) is None, template
        else:
            assert re.search(described, template), template


def test_a_pattern_of_a_watched_folder_is_described_without_the_users_home() -> None:
    described = AddWatch.model_json_schema()["properties"]["include"]["items"]["pattern"]
    assert [bool(re.search(described, name)) for name in ("*.m4a", "~", "~a", "~/a", "", "a\0")] == [
        *(True, True, True),
        *(False, False, False),
    ]
