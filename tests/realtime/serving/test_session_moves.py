"""Tests how sessions move between hosts: drained and crowded ones, and spares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from realtime.errors import ClusterError
from realtime.serving.cluster.hosts import SessionOrder
from realtime.serving.cluster.placement import ClusterFull
from tests.realtime.serving.supervised_cluster import CONFIG, Cluster, counts


def test_sessions_spread_again_when_a_lost_host_is_back_as_far_as_one_holds_too_much():
    cluster = Cluster(hosts=2, sessions=4, capacity=0.31)  # three of 0.1
    cluster.run(40)
    cluster.hosts["a"].kill()
    cluster.run(10)
    assert counts(cluster) == {"a": 0, "b": 4}
    cluster.hosts["a"].start()
    cluster.run(4)
    assert counts(cluster) == {"a": 0, "b": 4}  # it may be lost again
    cluster.run(20)
    assert counts(cluster) == {"a": 1, "b": 3}
    assert cluster.is_consistent()
    assert cluster.supervisor.moves == 1


def test_a_wearer_is_not_moved_to_and_fro_by_costs_that_vary():
    cluster = Cluster(hosts=2, sessions=6)
    cluster.run(15)
    for turn in range(120):
        for number, host in enumerate(cluster.hosts.values()):
            cost = 0.45 if (turn // 12 + number) % 2 else 0.2  # twelve seconds each
            host.sessions = {stream: replace(found, cost=cost) for stream, found in host.sessions.items()}
        cluster.run(1)
    assert counts(cluster) == {"a": 3, "b": 3}
    assert cluster.supervisor.moves == 0


@pytest.mark.parametrize("exclusive", [(), ("s0", "s2")])
def test_a_drained_host_gives_its_sessions_away_one_by_one(exclusive):
    cluster = Cluster(hosts=2, sessions=4, exclusive=exclusive)
    cluster.run(1)
    cluster.supervisor.set_draining("a", True)
    several = 0
    for _ in range(100):
        cluster.run(0.1)
        holders = cluster.holders()
        several = max(several, sum(len(names) > 1 for names in holders.values()))
        assert all(len(holders[stream]) < 2 for stream in exclusive)
    assert several == (0 if exclusive else 1)
    assert cluster.is_consistent()
    assert counts(cluster) == {"a": 0, "b": 4}
    assert cluster.supervisor.moves == 2
    cluster.supervisor.set_draining("a", False)
    cluster.supervisor.add_session(SessionOrder("new", CONFIG))
    cluster.run(1)
    assert list(cluster.hosts["a"].sessions) == ["new"]
    with pytest.raises(ClusterError, match="no host 'z'; known: a, b"):
        cluster.supervisor.set_draining("z", True)


def test_a_session_that_opens_nowhere_else_keeps_no_other_from_leaving_a_drained_host():
    cluster = Cluster(hosts=2, sessions=6)
    cluster.run(1)
    first = min(cluster.hosts["a"].sessions)
    cluster.hosts["b"].refuses = {first}
    cluster.supervisor.set_draining("a", True)
    cluster.run(10)
    assert list(cluster.hosts["a"].sessions) == [first]
    assert cluster.is_consistent()
    drained, _ = cluster.supervisor.describe_hosts()["hosts"]
    assert drained["reason"] == f"{first} cannot move: SourceError: b has no such camera"
    cluster.hosts["b"].refuses = set()
    cluster.run(10)
    assert cluster.is_consistent()
    assert counts(cluster) == {"a": 0, "b": 6}
    assert cluster.supervisor.describe_hosts()["hosts"][0]["reason"] == ""


def test_the_last_host_that_is_drained_keeps_its_sessions_and_says_why():
    cluster = Cluster(hosts=1, sessions=2)
    cluster.run(1)
    cluster.supervisor.set_draining("a", True)
    cluster.run(1)
    (host,) = cluster.supervisor.describe_hosts()["hosts"]
    assert (host["state"], host["streams"]) == ("draining", ["s0", "s1"])
    assert host["reason"] == "no other host that takes sessions has room for them"
    with pytest.raises(ClusterFull, match="there is no host now; 1 being drained"):
        cluster.supervisor.add_session(SessionOrder("new", CONFIG))


@pytest.mark.parametrize("dies_first", [False, True])
def test_a_drained_host_that_dies_takes_no_sessions_until_that_is_ended(dies_first):
    cluster = Cluster(hosts=2, sessions=4)
    cluster.run(1)
    if dies_first:
        cluster.hosts["a"].kill()
        cluster.run(1)
    cluster.supervisor.set_draining("a", True)
    cluster.hosts["a"].kill()
    cluster.run(1)
    cluster.hosts["a"].start()
    cluster.supervisor.add_session(SessionOrder("new", CONFIG))
    cluster.run(1)
    assert cluster.supervisor.describe_hosts()["hosts"][0]["state"] == "draining"
    assert counts(cluster) == {"a": 0, "b": 5}
    cluster.supervisor.set_draining("a", False)
    cluster.supervisor.add_session(SessionOrder("newer", CONFIG))
    cluster.run(1)
    assert counts(cluster) == {"a": 1, "b": 5}


def test_a_session_is_opened_on_another_host_where_one_cannot_and_then_again_on_all():
    cluster = Cluster(hosts=3, sessions=1)
    for name in ("a", "b"):
        cluster.hosts[name].refuses = {"s0"}
    cluster.run(3)
    assert cluster.holders()["s0"] == ["c"]
    cluster.hosts["c"].kill()
    cluster.run(3)
    assert cluster.holders()["s0"] == []
    cluster.hosts["a"].refuses = set()
    cluster.run(5)
    assert cluster.holders()["s0"] == ["a"]
    assert cluster.is_consistent()


def test_a_crowded_host_is_relieved_of_what_opens_elsewhere_and_of_no_exclusive_source():
    cluster = Cluster(hosts=2, sessions=5, capacity=0.31, exclusive=("s0",))  # three of 0.1
    cluster.run(40)
    cluster.hosts["a"].kill()
    cluster.run(10)
    cluster.hosts["a"].refuses = {"s1"}
    cluster.hosts["a"].start()
    for _ in range(600):
        cluster.run(0.1)
        assert len(cluster.hosts["b"].sessions) >= 3
        assert "s0" not in cluster.hosts["a"].sessions
    assert set(cluster.hosts["a"].sessions) == {"s2", "s3"}
    assert cluster.is_consistent()


def test_a_spare_that_comes_later_takes_the_place_of_a_host_that_is_lost():
    cluster = Cluster(hosts=3, sessions=2, spares=("c",))
    cluster.run(1)
    cluster.hosts["c"].kill()
    cluster.run(1)
    cluster.hosts["a"].kill()
    cluster.run(1)
    assert counts(cluster) == {"a": 0, "b": 2, "c": 0}
    cluster.hosts["c"].start()
    cluster.run(1)
    assert [host["spare"] for host in cluster.supervisor.describe_hosts()["hosts"]] == [True, False, False]
    cluster.supervisor.add_session(SessionOrder("new", CONFIG))
    cluster.run(1)
    assert counts(cluster) == {"a": 0, "b": 2, "c": 1}


def test_a_spare_takes_the_place_of_a_host_that_was_lost():
    cluster = Cluster(hosts=2, sessions=2, spares=("b",))
    cluster.run(1)
    assert counts(cluster) == {"a": 2, "b": 0}
    cluster.hosts["a"].kill()
    cluster.run(0.2)
    assert counts(cluster) == {"a": 0, "b": 2}
    cluster.hosts["a"].start()
    cluster.run(1)
    assert [host["spare"] for host in cluster.supervisor.describe_hosts()["hosts"]] == [True, False]
