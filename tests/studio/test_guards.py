"""Who is let in: the studio's own pages and whoever has the token; other sites, names and machines aren't."""

import hmac

import pytest
from served import SMALL, Desk

from impasto.errors import SettingsError
from impasto.studio import guards
from impasto.studio.config import StudioConfig

TOKEN = "correct horse battery"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = Desk(StudioConfig(tmp_path_factory.mktemp("guards")))
    yield desk
    desk.close()


@pytest.fixture
def guarded(asked):
    """A studio that other machines reach."""
    return asked(host="0.0.0.0", token=TOKEN, names=("studio.example",))


def status(desk, path="/api/v1/health", method="GET", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = desk.request(method, path, headers=named)
    if answer.status_code >= 400:
        assert answer.json()["errors"][0]["message"].endswith(".")
    return answer.status_code


@pytest.mark.parametrize("host", ["127.0.0.1:8600", "localhost", "LOCALHOST:1", "[::1]:8600", "[::1]"])
def test_the_studio_answers_by_the_names_of_its_own_machine(host, desk):
    assert status(desk, host=host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8600", "localhost@evil.example", "0.0.0.0", "", "127.0.0.2", "a:b"]
)
def test_another_name_that_leads_here_is_refused_whatever_it_asks_for(host, desk):
    for path in ("/", "/static/app.js", "/api/v1/health", "/api/v1/openapi.json", "/nothing"):
        assert status(desk, path, host=host) == 421
    assert status(desk, "/api/v1/queue/cancel", "POST", host=host) == 421


def test_addresses_and_names_that_it_was_told_are_let_in(guarded):
    for host in (*guards.addresses(), "studio.example:8600"):
        assert status(guarded, "/login", host=host) == 200
    assert status(guarded, "/login", host="other.example") == 421


@pytest.mark.parametrize(
    "origin",
    ["null", "https://evil.example", "http://127.0.0.1:8601", "http://localhost:8600", "file://", "http://[", "x", ""],
)
def test_requests_from_another_page_are_refused(origin, desk):
    for path, method in (("/api/v1/queue/cancel", "POST"), ("/api/v1/health", "GET"), ("/api/v1/images", "POST")):
        assert status(desk, path, method, origin=origin) == 403


def test_requests_of_its_own_pages_and_of_programs_pass(desk):
    for headers in ({}, {"origin": "http://127.0.0.1:8600", "sec_fetch_site": "same-origin"}):
        assert status(desk, "/api/v1/queue/cancel", "POST", **headers) == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_or_a_picture_on_another_page_reaches_nothing(site, desk):
    assert status(desk, "/api/v1/queue/cancel", "POST", sec_fetch_site=site, sec_fetch_mode="navigate") == 403
    assert status(desk, "/api/v1/jobs", "GET", sec_fetch_site="cross-site", sec_fetch_mode="no-cors") == 403
    assert status(desk, "/", sec_fetch_site=site, sec_fetch_mode="navigate") == 200


def test_a_body_that_a_form_can_send_is_not_taken_for_json(desk, order):
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = desk.post("/api/v1/jobs", content=b'{"contents": []}', headers={"content-type": kind})
        assert answer.status_code == 422


def test_every_answer_forbids_scripts_but_its_own_and_guessing_at_kinds(desk):
    for path in ("/", "/static/app.js", "/api/v1/health", "/nothing", "/api/v1/jobs/no"):
        headers = desk.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["script-src"] == "'self'"
        assert (policy["default-src"], policy["object-src"], policy["frame-ancestors"]) == (
            "'self'",
            "'none'",
            "'none'",
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_the_pages_have_no_script_of_their_own_inside(desk):
    for path in ("/", "/login"):
        page = desk.get(path).text
        assert "<script>" not in page
        assert " onclick=" not in page
        assert "http://" not in page.replace("http://www.w3.org/", "")


def test_without_the_token_there_is_the_login_and_nothing_else(guarded):
    assert guarded.get("/").status_code == 303
    assert guarded.get("/").headers["location"] == "/login"
    assert guarded.get("/static/login.js").status_code == 200
    for path in ("/api/v1/health", "/metrics", "/api/v1/openapi.json", "/api/v1/events", "/x", "/static/../metrics"):
        assert status(guarded, path) in (401, 404)
    assert status(guarded, "/api/v1/images", "POST") == 401


def test_the_token_opens_as_a_bearers_and_for_a_cookie(guarded):
    assert status(guarded, authorization=f"Bearer {TOKEN}") == 200
    answer = guarded.post("/api/v1/login", json={"token": TOKEN})
    cookie, *flags = answer.headers["set-cookie"].split("; ")
    assert answer.status_code == 204
    assert {flag.lower() for flag in flags} >= {"httponly", "samesite=strict", "path=/"}
    assert TOKEN not in cookie
    assert status(guarded, cookie=f"theme=dark; {cookie}") == 200
    assert status(guarded, cookie=cookie[:-1] + "x") == 401


def test_a_cookie_holds_after_a_restart_but_not_with_another_token(asked):
    def cookie(token, data="data"):
        desk = asked(data, host="0.0.0.0", token=token)
        found = desk.post("/api/v1/login", json={"token": token}).headers["set-cookie"].partition(";")[0]
        desk.close()
        return found

    assert cookie(TOKEN) == cookie(TOKEN)
    assert len({cookie(TOKEN), cookie("another token"), cookie(TOKEN, "elsewhere")}) == 3


def test_ten_wrong_tokens_in_a_minute_are_enough(guarded, monkeypatch):
    tries = [guarded.post("/api/v1/login", json={"token": f"guess {n}"}).status_code for n in range(12)]
    assert tries == [401] * 10 + [429] * 2
    assert guarded.post("/api/v1/login", json={"token": TOKEN}).status_code == 429
    assert status(guarded, authorization=f"Bearer {TOKEN}") == 401
    clock = guards.time.monotonic()
    monkeypatch.setattr(guards.time, "monotonic", lambda: clock + 61)
    assert guarded.post("/api/v1/login", json={"token": TOKEN}).status_code == 204


def test_wrong_tokens_from_one_address_keep_nobody_out_elsewhere(tmp_path):
    session = guards.Session(StudioConfig(tmp_path, host="0.0.0.0", token=TOKEN), "salt")
    for n in range(10):
        assert not session.is_token(f"guess {n}", "10.0.0.1")
    right = {"authorization": f"Bearer {TOKEN}"}
    assert not session.is_open(right, "10.0.0.1")
    assert session.is_open(right, "10.0.0.2")
    assert session.may_try("10.0.0.2")


def test_wrong_bearers_count_as_tries_too(guarded):
    for n in range(11):
        assert status(guarded, authorization=f"Bearer guess {n}") == 401
    assert guarded.post("/api/v1/login", json={"token": TOKEN}).status_code == 429


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic abc", "bearer \xff", "Bearer " + "a" * 9000, f"Token {TOKEN}"]
)
def test_other_authorizations_are_none(header, guarded):
    assert status(guarded, authorization=header.encode("latin-1")) == 401


@pytest.mark.parametrize("cookie", ["impasto=", "impasto=\xff", "impasto", "=;;=,", "impasto=" + "0" * 64, "a=b" * 999])
def test_other_cookies_are_none(cookie, guarded):
    assert status(guarded, cookie=cookie.encode("latin-1")) == 401


def test_secrets_are_compared_in_the_same_time_whatever_they_are(guarded, monkeypatch):
    compared = []
    right = hmac.compare_digest
    monkeypatch.setattr(guards.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or right(a, b))
    guarded.post("/api/v1/login", json={"token": "wrong"})
    status(guarded, cookie="impasto=wrong")
    assert len(compared) == 2


@pytest.mark.parametrize(("host", "token"), [("0.0.0.0", None), ("192.168.1.2", None), ("127.0.0.1", "short")])
def test_an_address_for_others_without_a_good_token_is_refused(host, token, tmp_path):
    with pytest.raises(SettingsError):
        StudioConfig(tmp_path, host, token=token)


def test_no_token_is_needed_on_this_machine_alone(desk):
    assert status(desk) == 200
    assert desk.post("/api/v1/jobs", json={"settings": SMALL}).status_code == 422
