"""Where the database is, and that nothing secret is ever shown."""

import time

import mongo_server
import pytest

from tracking import database
from utils.errors import UserError


def test_the_configuration_comes_before_the_environment(monkeypatch):
    assert database.resolve("") == ""
    monkeypatch.setenv("AMAL_MONGO_URL", "mongodb://there:1")
    assert database.resolve("") == "mongodb://there:1"
    assert database.resolve("here:2") == "mongodb://here:2"
    assert database.resolve("off") == ""


def test_user_and_password_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("AMAL_MONGO_USER", "ann")
    monkeypatch.setenv("AMAL_MONGO_PASSWORD", "p@ss/word")
    assert database.resolve("mongodb://here:2/db") == "mongodb://ann:p%40ss%2Fword@here:2/db"
    assert database.resolve("mongodb://bob:x@here:2") == "mongodb://bob:x@here:2"


@pytest.mark.parametrize("url", ["mongodb://ann:secret@here:2", "mongodb+srv://ann:secret@here", "ann:secret@here:2"])
def test_credentials_are_refused_where_they_would_be_recorded_and_not_repeated(url):
    with pytest.raises(UserError, match="AMAL_MONGO_PASSWORD") as caught:
        database.refuse_credentials(url)
    assert "secret" not in str(caught.value)


def test_texts_lose_their_secrets(monkeypatch):
    monkeypatch.setenv("AMAL_MONGO_PASSWORD", "p@ss/word")
    text = "cannot reach mongodb://ann:secret@here:2/db with p@ss/word or p%40ss%2Fword"
    assert database.without_credentials(text) == "cannot reach mongodb://here:2/db with *** or ***"


def test_the_parts_of_an_address():
    assert database.parts_of("mongodb://ann:secret@here:2/records?tls=true") == ("here:2", "records")
    assert database.parts_of("mongodb://here:2") == ("here:2", "")


def test_an_address_of_another_kind_is_refused():
    with pytest.raises(UserError, match="no MongoDB address"):
        database.resolve("http://here:2")


def test_a_server_that_does_not_answer_is_told_within_seconds():
    pytest.importorskip("pymongo")
    client = database.connect(f"mongodb://ann:secret@127.0.0.1:{mongo_server.free_port()}")
    start = time.monotonic()
    with pytest.raises(UserError, match="No MongoDB answers at here:1") as caught:
        database.check(client, "db", "here:1")
    assert time.monotonic() - start < 4
    assert "secret" not in str(caught.value)


def test_a_server_that_refuses_is_told_in_a_sentence(start_mongod, monkeypatch):
    import pymongo

    server = start_mongod(auth=True)
    with pymongo.MongoClient(server.url) as client:
        client.admin.command("createUser", "ann", pwd="secret1", roles=["readWriteAnyDatabase"])
    with pytest.raises(UserError, match="refuses the database"):
        database.check(database.connect(server.url), "db", "here", write=True)
    monkeypatch.setenv("AMAL_MONGO_USER", "ann")
    monkeypatch.setenv("AMAL_MONGO_PASSWORD", "secret2")
    with pytest.raises(UserError, match="Authentication failed") as caught:
        database.check(database.connect(database.resolve(server.url)), "db", "here", write=True)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("AMAL_MONGO_PASSWORD", "secret1")
    database.check(database.connect(database.resolve(server.url)), "db", "here", write=True)
