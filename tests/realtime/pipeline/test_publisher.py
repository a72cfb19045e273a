import threading

from realtime.comms.envelope import unpack
from realtime.pipeline.publisher import MessagePublisher


class Sent(list):
    def send(self, topic, payload):
        self.append((topic, unpack(payload)))
        return True


def test_numbers_are_per_topic_and_stamps_come_from_the_clock():
    sent = Sent()
    broadcast = MessagePublisher(sent, "s", iter(range(10, 99)).__next__)
    assert [broadcast.publish(topic, {"a": 1}) for topic in ("mask", "health", "mask")] == [(0, 10), (0, 11), (1, 12)]
    assert [(topic, f["seq"], f["published_ns"], f["stream"], f["v"], f["a"]) for topic, f in sent] == [
        ("mask", 0, 10, "s", 1, 1),
        ("health", 0, 11, "s", 1, 1),
        ("mask", 1, 12, "s", 1, 1),
    ]


def test_messages_leave_in_the_order_of_their_numbers_from_many_threads():
    sent = Sent()
    broadcast = MessagePublisher(sent, "s", lambda: 0)
    threads = [threading.Thread(target=lambda: [broadcast.publish("mask", {}) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [f["seq"] for _, f in sent] == list(range(800))
