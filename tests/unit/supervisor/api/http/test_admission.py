"""Which requests over TCP are admitted: the host first, then the origin, then the token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.api.http.admission import AdmissionRules, NotAdmitted, admit

TOKEN = "right"
RULES = AdmissionRules(
    token=TOKEN, hosts=frozenset({"mini.local"}), origins=frozenset({"app://obsidian.md"}), open_compat=True
)
ALLOWED = {"host": ["127.0.0.1:9000"], "authorization": [f"Bearer {TOKEN}"]}


def code(
    method: str = "GET", *, rules: AdmissionRules = RULES, compat: bool = False, **headers: str | list[str]
) -> str:
    """`admitted`, or the code of the refusal."""
    sent = dict(ALLOWED)
    for name, value in headers.items():
        sent[name.replace("_", "-")] = value if isinstance(value, list) else [value]
    try:
        admit(rules, method, {name: values for name, values in sent.items() if values}, "192.168.1.5", compat=compat)
    except NotAdmitted as no:
        assert no.status in (401, 403)
        assert no.hint
        return no.code
    return "admitted"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:9000",
        "127.9.9.9",
        "localhost:1",
        "LOCALHOST",
        "[::1]:9000",
        "mini.local",
        "192.168.1.5",
    ],
)
def test_a_name_of_this_computer_is_admitted(host: str) -> None:
    assert code(host=host) == "admitted"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1.evil",
        "127.0.0.1.evil.com:9000",
        "localhost.evil",
        "evil.com",
        "192.168.1.6",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0.0.0.0",
        "mini.local.evil",
        "127.0.0.1:9000:1",
        "127.0.0.1/",
        "user@127.0.0.1",
        "[::1",
        "::1",
        "localhost.",
        "",
    ],
)
def test_any_other_host_is_refused(host: str) -> None:
    assert code(host=host) == "host_not_allowed"


def test_two_hosts_or_none_are_refused() -> None:
    assert code(host=["127.0.0.1", "evil.com"]) == "host_not_allowed"
    assert code(host=[]) == "host_not_allowed"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_origin_is_refused_unless_it_is_listed(method: str) -> None:
    assert code(method, origin="http://evil.com") == "origin_not_allowed"
    assert code(method, origin="null") == "origin_not_allowed"
    assert code(method, origin="http://127.0.0.1:9001") == "origin_not_allowed"
    assert code(method, origin="http://127.0.0.1:9000") == "admitted"
    assert code(method, origin="app://obsidian.md", sec_fetch_site="cross-site") == "admitted"


def test_a_form_of_another_site_is_refused_even_without_an_origin() -> None:
    assert code("POST", sec_fetch_site="cross-site") == "cross_site"
    assert code("POST", sec_fetch_site="same-site") == "cross_site"
    assert code("POST", sec_fetch_site="same-origin") == "admitted"


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN} x", "Bearer é"]
)
def test_without_the_token_nothing_is_admitted(sent: str) -> None:
    assert code(authorization=sent) == "invalid_api_key"


def test_programs_without_a_token_get_the_compatibility_endpoints_of_a_loopback_listener_alone() -> None:
    assert code(authorization=[], compat=True) == "admitted"
    assert code(authorization=[], compat=False) == "invalid_api_key"
    lan = AdmissionRules(token=TOKEN, loopback=False, open_compat=True)
    assert code(rules=lan, authorization=[], compat=True) == "invalid_api_key"
    assert code(host="evil.com", authorization=[], compat=True) == "host_not_allowed"


def test_a_browser_asks_without_a_token_whether_a_listed_origin_may_call() -> None:
    asked = {"origin": "app://obsidian.md", "access_control_request_method": "POST"}
    assert code("OPTIONS", authorization=[], **asked) == "admitted"
    assert code("OPTIONS", authorization=[], **{**asked, "origin": "http://evil.com"}) == "origin_not_allowed"


@given(host=st.text(max_size=40))
def test_no_text_but_an_address_or_a_listed_name_is_a_host(host: str) -> None:
    bare = host.lower().rpartition(":")[0] or host.lower()
    if code(host=host) == "admitted":
        assert bare.strip("[]").startswith(("127.", "localhost", "mini.local", "192.168.1.5", "::1", "0:"))
