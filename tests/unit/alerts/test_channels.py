"""Channels: what is given to apprise, what it gives back, and that no secret leaves it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.telegram import NotifyTelegram

from slackwater.alerts.answers import seconds_to_wait
from slackwater.alerts.channels import CHANNELS, Channel, channels_of
from slackwater.alerts.message import Urgency
from slackwater.errors import ParameterError
from tests.alert_service import AlertService, Reply

# apprise reads all of its services at the first use, one of which imports imghdr.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

SECRET = "s3cr3tT0ken"  # noqa: S105 made up
CROWDED = {"message": "You are being rate limited.", "retry_after": 64.57, "global": False}
TELEGRAM = {"ok": False, "error_code": 429, "description": "retry later", "parameters": {"retry_after": 31}}


@pytest.fixture
def service() -> Iterator[AlertService]:
    with AlertService() as running:
        yield running


def channels(*urls: str) -> tuple[Channel, ...]:
    return channels_of({CHANNELS: "\n".join(urls)})


def test_a_message_arrives_with_title_text_and_type(service: AlertService) -> None:
    """Catches a title that is lost, and characters that a format of apprise swallows."""
    (channel,) = channels(service.url())
    assert channel.send("BTCUSDT: sweep", "a <b> & c\nnext", Urgency.FAULT).sent
    (received,) = service.received
    assert received.content["title"] == "BTCUSDT: sweep"
    assert received.content["message"] == "a <b> & c\nnext"
    assert received.content["type"] == "failure"


@pytest.mark.parametrize("reply", [Reply(), Reply(401, {"error": SECRET}), Reply(429, {"retry_after": 1}), None])
def test_no_logger_tells_a_secret(
    service: AlertService, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], reply: Reply | None
) -> None:
    """Catches tokens in paths, passwords and headers that apprise and urllib3 log at DEBUG."""
    port = service.port if reply else 1  # nobody listens on port 1
    service.replies = [reply] if reply else []
    for name in ("", "apprise", "urllib3", "urllib3.connectionpool", "requests"):
        caplog.set_level(1, logger=name or None)
    url = f"json://user:{SECRET}@127.0.0.1:{port}/{SECRET}?+X-Token={SECRET}&-q={SECRET}"
    (channel,) = channels(url)
    answer = channel.send("title", "text", Urgency.NOTE)
    if reply:
        assert SECRET in service.received[0].path, "the request itself has the token, so that the logs could"
    out, err = capfd.readouterr()
    told = [caplog.text, out, err, repr(channel), channel.name, channel.label, answer.reason]
    assert not [text for text in told if SECRET in text]
    assert not [record for record in caplog.records if record.name.partition(".")[0] in ("apprise", "urllib3")]


def test_logs_of_others_are_not_withheld(service: AlertService, caplog: pytest.LogCaptureFixture) -> None:
    """Catches loggers of the whole process that stay silent, before, after and beside an alert."""
    import requests

    caplog.set_level(logging.DEBUG)
    service.replies = [Reply(delay=0.3)]
    (channel,) = channels(service.url())
    sending = threading.Thread(target=channel.send, args=("title", "text", Urgency.NOTE))
    sending.start()
    while not service.received:
        time.sleep(0.01)
    requests.get(f"http://127.0.0.1:{service.port}/beside", timeout=5)
    sending.join()
    requests.get(f"http://127.0.0.1:{service.port}/after", timeout=5)
    assert "/beside" in caplog.text
    assert "/after" in caplog.text
    assert "/token" not in caplog.text


def test_a_failing_request_of_others_keeps_its_answer(service: AlertService) -> None:
    """Catches the ear for answers in the way of requests that have nothing to do with alerts."""
    import requests

    channels(service.url())
    service.replies = [Reply(429, {"retry_after": 60}), Reply(200)]
    assert requests.get(f"http://127.0.0.1:{service.port}/", timeout=5).status_code == 429
    assert requests.get(f"http://127.0.0.1:{service.port}/", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("reply", "wait"),
    [
        (Reply(429, TELEGRAM), 31.0),
        (Reply(429, CROWDED), 64.57),
        (Reply(429, {}, {"Retry-After": "12"}), 12.0),
        (Reply(503, {}, {"Retry-After": "7"}), 7.0),
        (Reply(429, {"retry_after": 3}, {"Retry-After": "5"}), 5.0),
        (Reply(429), None),
        (Reply(429, {"retry_after": "soon"}, {"Retry-After": "-3"}), None),
        (Reply(500, {"retry_after": 9}), None),
    ],
)
def test_what_a_service_asks_for_is_heard(service: AlertService, reply: Reply, wait: float | None) -> None:
    """Catches a `retry_after` that is not found where Telegram, Discord or HTTP state it, or one that is nonsense."""
    service.replies = [reply]
    (channel,) = channels(service.url())
    answer = channel.send("title", "text", Urgency.NOTE)
    assert not answer.sent
    assert answer.wait == wait
    assert answer.reason.startswith(f"answered {reply.status}")


def test_a_date_is_a_wait_until_then() -> None:
    """Catches the second form of Retry-After, which HTTP allows."""
    assert seconds_to_wait({"Retry-After": formatdate(1_000, usegmt=True)}, None, 940.0) == 60.0
    assert seconds_to_wait({"Retry-After": formatdate(1_000, usegmt=True)}, None, 2_000.0) == 0.0
    assert seconds_to_wait({}, ["not", "a", "mapping"], 0.0) is None


@pytest.mark.parametrize(
    ("plugin", "root", "url", "reply", "wait"),
    [
        (NotifyDiscord, "api/webhooks", f"discord://{'1' * 18}/{SECRET}", Reply(429, CROWDED), 64.57),
        (NotifyTelegram, "bot", f"tgram://123456789:{SECRET * 4}/12315544/", Reply(429, TELEGRAM), 31.0),
    ],
)
def test_a_service_that_asks_to_wait_is_not_asked_again(
    service: AlertService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    plugin: Any,
    root: str,
    url: str,
    reply: Reply,
    wait: float,
) -> None:
    """Catches apprise's Discord, which asks once more at once and so prolongs its ban; both as apprise has them."""
    caplog.set_level(1)
    monkeypatch.setattr(plugin, "notify_url", f"http://127.0.0.1:{service.port}/{root}")
    (channel,) = channels(url)
    service.replies = [reply]
    answer = channel.send("title", "text", Urgency.NOTE)
    assert (answer.sent, answer.wait, len(service.received)) == (False, wait, 1)
    assert SECRET not in caplog.text + answer.reason
    service.replies = [Reply(200, {"ok": True})]
    assert channel.send("title", "a <b> c", Urgency.NOTE).sent
    arrived = "a &lt;b&gt; c" if plugin is NotifyTelegram else "a <b> c"
    assert arrived in str(service.received[-1].content)


def test_a_failure_is_a_failure_and_one_attempt_is_one(service: AlertService) -> None:
    """Catches `optional`, which turns a failure into a success, and `retry`, which would not wait."""
    service.replies = [Reply(500)] * 4
    (channel,) = channels(f"{service.url()}?optional=yes&retry=3")
    assert channel.send("title", "text", Urgency.NOTE).reason == "answered 500"
    assert len(service.received) == 1


def test_a_service_that_is_not_there_is_named_without_its_address() -> None:
    """Catches the text of an error of requests, which contains the path."""
    (channel,) = channels(f"json://127.0.0.1:1/{SECRET}")
    assert channel.send("title", "text", Urgency.NOTE).reason == "could not be reached (ConnectionError)"


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ("", "names no channel"),
        (f"json://127.0.0.1/a tgram://{SECRET}", r"cannot read URL 2 of 2 \(tgram\)"),
        (f"{SECRET}", r"cannot read URL 1 of 1 \(no schema\)"),
        (f"{SECRET}://{SECRET}", r"cannot read URL 1 of 1 \(unknown schema\)"),
        ("json://127.0.0.1/a json://127.0.0.1/a", r"URL 2 of 2 \(json\) is there twice"),
    ],
)
def test_a_url_that_cannot_be_read_is_named_by_its_place(
    urls: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches a token in an error that lands in a log, and a channel that is dropped without a word."""
    caplog.set_level(1)
    with pytest.raises(ParameterError, match=message) as raised:
        channels_of({CHANNELS: urls})
    assert SECRET not in str(raised.value) + caplog.text
    assert raised.value.__cause__ is None


def test_names_tell_channels_apart_and_nothing_about_their_secrets(service: AlertService) -> None:
    """Catches two chats of a service that share their record of what was sent."""
    one, two = channels(service.url("one"), service.url("two"))
    assert one.name != two.name
    assert one.name == channels(service.url("one"))[0].name
    assert (one.label, two.label) == ("1 of 2 (json)", "2 of 2 (json)")
