from conveyor.domain import payloads
from conveyor.domain.payloads import TYPES


def test_an_event_type_is_found_in_one_hop_in_the_module_of_its_noun():
    """CONTRIBUTING.md tells strangers so."""
    for kind, payload in TYPES.items():
        noun = kind.split(".")[2]
        assert payload.__module__ == f"{payloads.__name__}.{noun}"


def test_every_payload_can_be_imported_from_the_package():
    assert {payload.__name__ for payload in TYPES.values()} <= set(payloads.__all__)
