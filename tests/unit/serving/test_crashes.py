from conveyor.domain.evidence import Evidence
from conveyor.errors import Rejected, Unavailable
from conveyor.serving.crashes import report


def told(answers, *, within=10.0):
    sent = []

    def send(window):
        sent.append(window)
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    return report(send, model="wine", release="r", within=within), sent


def test_a_crash_is_a_window_with_the_request_it_took():
    done, (window,) = told([None])
    assert done
    assert Evidence.from_summary(window.summary) == Evidence(requests=1, errors=1)
    assert (window.model, window.revision) == ("wine", "r")
    assert window.instance.startswith("pod-")


def test_a_sink_that_is_away_gets_the_same_window_again():
    done, sent = told([Unavailable("away"), None])
    assert done
    assert sent[0] == sent[1]


def test_a_sink_that_refuses_or_stays_away_ends_it():
    assert not told([Rejected("no")])[0]
    assert not told([Unavailable("away")], within=0.0)[0]
