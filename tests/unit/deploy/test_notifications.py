import pytest

from conveyor.deploy.notifications import with_rule
from conveyor.errors import Rejected

ARN = "arn:minio:sqs::CONVEYOR:webhook"


def test_a_rule_is_added_beside_those_of_others():
    other = {"Id": "theirs", "QueueArn": "arn:aws:sqs:eu:1:q", "Events": []}
    made = with_rule({"QueueConfigurations": [other], "ResponseMetadata": {}}, ARN)
    assert made == {
        "QueueConfigurations": [
            other,
            {"Id": "conveyor", "QueueArn": ARN, "Events": ["s3:ObjectCreated:*"]},
        ]
    }


def test_a_rule_that_is_there_is_left():
    assert with_rule({"QueueConfigurations": [{"QueueArn": ARN}]}, ARN) is None


def test_our_rule_for_another_target_is_replaced():
    old = {"Id": "conveyor", "QueueArn": "arn:minio:sqs::OLD:webhook", "Events": []}
    (rule,) = with_rule({"QueueConfigurations": [old]}, ARN)["QueueConfigurations"]
    assert rule["QueueArn"] == ARN


def test_a_topic_is_one_too():
    made = with_rule({}, "arn:aws:sns:eu-central-1:1:uploads")
    assert made["TopicConfigurations"][0]["TopicArn"].endswith(":uploads")


@pytest.mark.parametrize("arn", ["", "http://x", "arn:aws:lambda:eu:1:f"])
def test_what_names_no_queue_or_topic_is_refused(arn):
    with pytest.raises(Rejected, match="no queue or topic"):
        with_rule({}, arn)
