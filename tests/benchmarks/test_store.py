import json

import pytest

from benchmarks.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "new" / "records.jsonl")
    store.append({"key": "a"})
    store.append({"key": "b", "name": "75°"})
    return store


def test_round_trip(store):
    assert Store(store.path).read() == [{"key": "a"}, {"key": "b", "name": "75°"}]
    assert Store(store.path.with_name("none.jsonl")).read() == []


@pytest.mark.parametrize("torn", [b'{"key": "c", "sel', b"{", b'{"key": "c"}', '{"name": "75°'.encode()[:-1]])
def test_a_torn_last_line_is_no_record(store, torn):
    with store.path.open("ab") as file:
        file.write(torn)
    again = Store(store.path)
    assert [record["key"] for record in again.read()] == ["a", "b"]
    again.append({"key": "d"})
    assert [record["key"] for record in again.read()] == ["a", "b", "d"]
    assert [json.loads(line)["key"] for line in store.path.read_text(encoding="utf-8").splitlines()] == ["a", "b", "d"]


def test_a_damaged_line_in_the_middle_is_an_error(store):
    store.path.write_bytes(store.path.read_bytes().replace(b'{"key": "a"}', b'{"key": '))
    with pytest.raises(ValueError, match=r"records.jsonl, line 1: not a JSON record"):
        Store(store.path).read()


def test_numbers_that_json_does_not_have_are_refused(store):
    with pytest.raises(ValueError, match="JSON"):
        store.append({"loss": float("nan")})
    assert len(store.read()) == 2
