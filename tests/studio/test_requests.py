"""Requests that nobody means well with: odd ids, numbers, forms and paths, and thousands that a machine makes up."""

import json
import random
import string
import urllib.parse

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import SMALL, Desk

from impasto.studio.config import StudioConfig

TRAVERSALS = [
    "../studio.sqlite", "..%2f..%2fconfig.py", "%2e%2e/app.py", "..%5capp.py", "%252e%252e/app.py", "....//app.py",
    "/etc/passwd", "%00", "app.js%00.png", "vendor", "", ".", "..", "~root", "C:/windows/win.ini", "app.py",
    "a" * 5000, "%ff%fe", "vendor/LICENCE.htm.txt", "..;/app.py", "//etc/passwd", "file:///etc/passwd",
]  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = Desk(StudioConfig(tmp_path_factory.mktemp("requests")))
    yield desk
    desk.close()


@pytest.fixture
def whole(desk, order):
    return order(desk)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_nothing_but_the_pages_own_files_is_served(path, desk):
    assert desk.raw(f"/static/{path}") in (404, 307)
    assert desk.raw(f"/static/{urllib.parse.unquote(path)}") == 404


def test_no_other_file_is_served_though_its_kind_is(desk, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    for path in (f"{tmp_path}/secret.png", f"{'../' * 20}{tmp_path}/secret.png"):
        assert desk.raw(f"/static/{path}") == 404


def test_the_pages_own_files_are_served_with_their_kinds(desk):
    for path, kind in (("app.js", "text/javascript"), ("vendor/preact.js", "text/javascript"), ("icon.svg", "image/")):
        answer = desk.get(f"/static/{path}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)


def odd_ids():
    chance = random.Random(0)
    yield from ("..", "../../x", "%2e%2e%2f%2e%2e", "a" * 9, "a" * 41, "a" * 5000, "' OR 1=1 --", "ä" * 16, "\0" * 12)
    for _ in range(30):
        yield "".join(chance.choice(string.printable) for _ in range(chance.randint(1, 60)))


@pytest.mark.parametrize("place", ["jobs/{}", "jobs/{}/picture", "jobs/{}/preview", "images/{}", "images/{}/file"])
def test_an_id_that_is_none_leads_nowhere(place, desk):
    for id in odd_ids():
        answer = desk.get("/api/v1/" + place.format(urllib.parse.quote(id, safe="")))
        assert answer.status_code in (404, 405, 422), id
        assert answer.json()["errors"]
    assert desk.get("/api/v1/" + place.format("A" * 16)).status_code == 404


@pytest.mark.parametrize("knob", ["weights", "scratch", "init", "mask", "style_mask", "strength_map"])
@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x.png", "http://evil.example/x.png", "x.safetensors", ["a.png"], 7]
)
def test_no_knob_takes_a_path(knob, path, desk, whole):
    for body in ({"settings": SMALL | {knob: path}}, {"vary": {knob: [path]}}):
        for route in ("jobs", "plan"):
            answer = desk.post(f"/api/v1/{route}", json=whole | body)
            assert (answer.status_code, answer.json()["errors"][0]["knob"]) == (422, knob)
    checked = desk.post("/api/v1/settings/check", json={"settings": {knob: path}}).json()
    assert checked["errors"][0]["knob"] == knob


def test_a_style_is_an_image_or_a_swatch_and_never_a_file(desk, whole):
    for style in ({"swatch": "/etc/passwd"}, {"swatch": "../dots"}, {"image": "../../x"}, {}, {"path": "x"}, "dots"):
        assert desk.post("/api/v1/jobs", json=whole | {"styles": [style]}).status_code == 422


def test_fields_that_are_not_declared_are_refused(desk, whole):
    for body in (whole | {"path": "/etc"}, {**whole, "styles": [{"swatch": "dots", "weight": 1}]}):
        assert desk.post("/api/v1/jobs", json=body).status_code == 422


RAW = {
    "no JSON": b"{",
    "nothing": b"",
    "another kind": b"[]",
    "not UTF-8": b'{"\xff": 1}',
    "nested deeply": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "nested so that it is just read": b'{"settings": {"strength": ' + b"[" * 900 + b"]" * 900 + b"}}",
    "a digit for each day": b'{"settings": {"seed": ' + b"9" * 6000 + b"}}",
}


@pytest.mark.parametrize("what", RAW)
@pytest.mark.parametrize("route", ["jobs", "plan", "settings/check", "login"])
def test_a_body_that_is_no_request_is_refused_in_a_sentence(what, route, desk):
    answer = desk.post(f"/api/v1/{route}", content=RAW[what], headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400, 422), answer.text
    assert answer.json()["errors"][0]["message"].endswith(".")


WILD = ["NaN", "Infinity", "-Infinity", "1e999", "-1e308", "9" * 400, '"\\ud800"', '"\\u0000"', "{}", "[[]]"]


@pytest.mark.parametrize("value", WILD)
@pytest.mark.parametrize("knob", ["strength", "size", "seed", "style_weights", "color", "layer_weights", "device"])
def test_numbers_that_are_none_are_refused_beside_their_knob(value, knob, desk, whole):
    text = json.dumps(whole)[:-1]
    for body in (f'{{"settings": {{"{knob}": {value}}}}}', f'{text}, "vary": {{"{knob}": [{value}]}}}}'):
        route = "jobs" if "vary" in body else "settings/check"
        answer = desk.post(f"/api/v1/{route}", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == (422 if route == "jobs" else 200), answer.text
        assert answer.json()["errors"][0]["message"].endswith(".")


@pytest.mark.parametrize("value", ['"\\ud800"', '"a\\u0000b"', '"' + "x" * 201 + '"', '""', "7"])
def test_titles_and_names_are_texts(value, desk, whole):
    id = desk.post("/api/v1/jobs", json=whole).json()["jobs"][0]["id"]
    for place, field in ((f"jobs/{id}", "title"), (f"images/{whole['contents'][0]}", "name")):
        body = f'{{"{field}": {value}}}'
        answer = desk.request("PATCH", f"/api/v1/{place}", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == (200 if "u0000" in value else 422), answer.text


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["strength", "size", "mask", "color", "init", "x"]) | st.text(), JSON, max_size=3)
)
def test_settings_of_any_kind_are_checked_without_a_fault(desk, knobs):
    body = json.dumps({"settings": knobs})
    answer = desk.post("/api/v1/settings/check", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 422)


@pytest.mark.slow
def test_every_operation_answers_as_it_is_described_and_none_fails(studio):
    """Requests made of the OpenAPI document by schemathesis, with a few examples of each operation."""
    schema = schemathesis.openapi.from_url(f"{studio.address}/api/v1/openapi.json")
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.specs.openapi.checks.response_schema_conformance,
        schemathesis.specs.openapi.checks.status_code_conformance,
        schemathesis.specs.openapi.checks.content_type_conformance,
    ]
    tried = set()

    @settings(max_examples=3, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(st.data())
    def one(operation, data):
        case = data.draw(operation.as_strategy())
        case.call_and_validate(checks=checks, timeout=60)
        tried.add(operation.label)

    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.endswith("/events"):
            one(operation)
    assert len(tried) > 25
    assert studio.process.poll() is None
