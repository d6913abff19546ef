"""Signatures: who may say what, and that nothing under one can be changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from conveyor.codec import LINE, SERVE, Keyring, decode, encode
from conveyor.domain.events import Event
from conveyor.errors import Rejected, Unauthorized

OLD, NEW, OTHER = "old" * 8, "new" * 8, "other" * 8
OBSERVED = "dev.conveyor.inference.observed.v1"


@pytest.fixture
def event():
    return Event(
        id="1",
        source="/conveyor/shop",
        type="dev.conveyor.model.converted.v1",
        subject="wine",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        data={"model": "wine", "share": 0.5},
        extensions={"line": "shop", "model": "wine"},
    )


@pytest.fixture
def keyring():
    return Keyring({LINE: [NEW], SERVE: [OTHER]})


def test_a_signed_event_verifies_after_the_wire_and_what_brokers_add(keyring, event):
    arrived = decode(*encode(keyring.sign(event, LINE)))
    assert keyring.verify(arrived.with_extensions(knativehistory="b", traceparent="00-1")) == LINE


@pytest.mark.parametrize(
    "change",
    [
        {"id": "2"},
        {"source": "/other"},
        {"type": "dev.conveyor.model.trained.v1"},
        {"subject": "beer"},
        {"time": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=1)},
        {"data": {"model": "wine", "share": 0.6}},
    ],
)
def test_a_changed_field_breaks_the_signature(keyring, event, change):
    with pytest.raises(Unauthorized):
        keyring.verify(replace(keyring.sign(event, LINE), **change))


@pytest.mark.parametrize(
    "extensions",
    [
        {"model": "beer"},
        {"dataset": "new"},
        {"partitionkey": "x"},
        {"conveyorrole": SERVE},
        {"conveyorrole": "nobody"},
        {"conveyorsig": ""},
        {"conveyorsig": "é\ud800"},
    ],
)
def test_a_changed_extension_breaks_the_signature(keyring, event, extensions):
    with pytest.raises(Unauthorized):
        keyring.verify(keyring.sign(event, LINE).with_extensions(**extensions))


def test_an_event_without_signature_or_of_another_key_is_refused(keyring, event):
    with pytest.raises(Unauthorized):
        keyring.verify(event)
    with pytest.raises(Unauthorized):
        keyring.verify(Keyring({LINE: [OTHER]}).sign(event, LINE))


def test_while_a_secret_is_replaced_both_verify_and_the_new_one_signs(event):
    old, both, new = Keyring({LINE: [OLD]}), Keyring({LINE: [NEW, OLD]}), Keyring({LINE: [NEW]})
    assert both.verify(old.sign(event, LINE)) == both.verify(new.sign(event, LINE)) == LINE
    assert new.verify(both.sign(event, LINE)) == LINE


def test_what_serves_models_can_sign_only_its_observations(keyring, event):
    assert keyring.verify(keyring.sign(replace(event, type=OBSERVED), SERVE)) == SERVE
    with pytest.raises(Rejected, match="must not sign"):
        keyring.sign(event, SERVE)


def test_a_serve_key_used_for_another_type_is_refused(event):
    """The holder of the serve key runs its own code: it could sign as if it held the line's."""
    forged = Keyring({LINE: [OTHER]}).sign(event.with_extensions(conveyorrole=SERVE), LINE)
    with pytest.raises(Unauthorized):
        Keyring({LINE: [NEW], SERVE: [OTHER]}).verify(forged)


def test_a_role_without_a_secret_cannot_sign(event):
    with pytest.raises(Rejected, match="CONVEYOR_KEY_LINE"):
        Keyring({SERVE: [OTHER]}).sign(event, LINE)


@pytest.mark.parametrize(
    "secrets",
    [{LINE: []}, {LINE: [""]}, {LINE: ["short"]}, {LINE: [NEW, OLD, OTHER]}, {"admin": [NEW]}],
)
def test_empty_short_too_many_and_unknown_secrets_are_refused(secrets):
    with pytest.raises(Rejected):
        Keyring(secrets)


def test_the_environment_names_the_secrets_and_an_empty_one_is_refused(event):
    keyring = Keyring.from_env({"CONVEYOR_KEY_LINE": f"{NEW},{OLD}"})
    assert keyring.verify(Keyring({LINE: [OLD]}).sign(event, LINE)) == LINE
    with pytest.raises(Rejected):
        Keyring.from_env({"CONVEYOR_KEY_LINE": ""})
