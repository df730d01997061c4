"""Where the MongoDB is and how to get in, with nothing secret ever shown.

The address comes from the key `mongo_url` or the environment variable AMAL_MONGO_URL; user and password only from the
environment: within AMAL_MONGO_URL, or in AMAL_MONGO_USER and AMAL_MONGO_PASSWORD.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import quote_plus

from utils.errors import UserError

URL, USER, PASSWORD = "AMAL_MONGO_URL", "AMAL_MONGO_USER", "AMAL_MONGO_PASSWORD"
ENVIRONMENT = "mongodb"  # as a source of records: the address in AMAL_MONGO_URL
DEFAULT_DATABASE = "sacred"
START_SECONDS = 1.5  # how long a server may take to answer before a command gives up

_SCHEMES = ("mongodb://", "mongodb+srv://")
_ACCOUNT = re.compile(r"//[^/@\s]*@")


def is_url(source: str) -> bool:
    """Return whether a source of records is a MongoDB address, or the word for that of the environment."""
    return source == ENVIRONMENT or source.startswith(_SCHEMES)


def without_credentials(text: str) -> str:
    """Return a text with every `user:password@` of an address in it, and the password of the environment, taken out."""
    secrets = [value for value in (os.environ.get(PASSWORD), _password_of(os.environ.get(URL, ""))) if value]
    for secret in secrets:
        for form in {secret, quote_plus(secret)}:
            text = text.replace(form, "***")
    return _ACCOUNT.sub("//", text)


def _password_of(url: str) -> str:
    account = _ACCOUNT.search(url)
    return account.group()[2:-1].partition(":")[2] if account else ""


def parts_of(address: str) -> tuple[str, str]:
    """Return (`host:port`, database or "") of an address, without credentials."""
    server, _, path = without_credentials(address).partition("://")[2].partition("?")[0].partition("/")
    return server, path


def resolve(mongo_url: str) -> str:
    """Return the address to connect to, possibly with credentials: never store or show it. "" where none is wanted.

    `mongo_url` is an address, "" for that of AMAL_MONGO_URL if it is set, "off" for none.
    """
    if mongo_url == "off":
        return ""
    given = mongo_url or os.environ.get(URL, "")
    if not given:
        return ""
    if "://" not in given:
        given = f"mongodb://{given}"
    if not is_url(given):
        raise UserError(f'mongo_url="{without_credentials(given)}" is no MongoDB address; write mongodb://HOST:PORT.')
    user = os.environ.get(USER)
    if user and not _ACCOUNT.search(given):
        account = quote_plus(user) + (f":{quote_plus(os.environ[PASSWORD])}" if os.environ.get(PASSWORD) else "")
        given = given.replace("://", f"://{account}@", 1)
    return given


def refuse_credentials(mongo_url: str, key: str = "mongo_url") -> None:
    """Raise UserError for an address with credentials where it would be recorded: on the command line or in a file."""
    if _ACCOUNT.search(mongo_url) or ("://" not in mongo_url and "@" in mongo_url):
        raise UserError(
            f"{key} must not hold a user or password, because it is recorded with the run: set {USER} and {PASSWORD},"
            f" or put the whole address into {URL}, in the environment."
        )


def connect(address: str, **options: Any) -> Any:
    """Return a pymongo client for a resolved address; nothing is sent yet. Raises UserError for a malformed one."""
    try:
        import pymongo
        from pymongo.errors import ConfigurationError, InvalidURI
    except ImportError:
        raise UserError("MongoDB needs the package pymongo: python3 -m pip install pymongo") from None
    milliseconds = int(1000 * START_SECONDS)
    settings = {"serverSelectionTimeoutMS": milliseconds, "connectTimeoutMS": milliseconds, "appname": "amal"}
    try:
        return pymongo.MongoClient(address, **{**settings, **options})
    except (ConfigurationError, InvalidURI, ValueError) as error:
        shown = without_credentials(address)
        raise UserError(f"The MongoDB address {shown} is not usable: {explain(error)}.") from None


def check(client: Any, database: str, shown: str, write: bool = False) -> None:
    """Raise UserError, within START_SECONDS or so, unless the database answers and lets us read (and write)."""
    from pymongo.errors import ConnectionFailure, PyMongoError

    try:
        client[database]["runs"].find_one({}, {"_id": 1})
        if write:  # changes nothing, but needs the right to
            client[database]["runs"].update_one({"_id": {"$in": []}}, {"$set": {"status": ""}})
    except ConnectionFailure:
        raise UserError(
            f"No MongoDB answers at {shown}. Start it, correct the address, or run without it (mongo_url=off)."
        ) from None
    except PyMongoError as error:
        raise UserError(f'MongoDB at {shown} refuses the database "{database}": {explain(error)}.') from None


def explain(error: Exception) -> str:
    """Return the first sentence of a driver's error, without anything secret."""
    text = without_credentials(str(error)).split(", full error")[0].split("\n")[0]
    return text.strip().rstrip(".")[:200]
