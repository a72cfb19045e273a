"""Tests the supervisor on a clock of its own, with hosts that hold no engine."""

from __future__ import annotations

import contextlib
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.comms.requests import HoldRequest
from realtime.config.schema import PublishConfig, RunConfig
from realtime.errors import ClusterError, SessionRefused, SettingsError
from realtime.serving.cluster.cluster_sessions import ClusterSessions
from realtime.serving.cluster.hosts import SessionOrder, SessionReport
from realtime.serving.cluster.placement import ClusterFull
from realtime.serving.cluster.ray_actors import step_until
from realtime.serving.cluster.stream_directory import StreamDirectory
from realtime.serving.cluster.supervisor import ClusterSupervisor
from realtime.serving.host_config import HostSettings
from tests.realtime.serving.supervised_cluster import CONFIG, Cluster, counts


def test_sessions_are_spread_and_published():
    cluster = Cluster(hosts=2, sessions=4)
    cluster.run(1)
    assert cluster.is_consistent()
    assert counts(cluster) == {"a": 2, "b": 2}
    described = cluster.supervisor.describe_hosts()
    assert [host["streams"] for host in described["hosts"]] == [["s0", "s2"], ["s1", "s3"]]
    assert (described["waiting"], described["fitting"]) == ({}, 16)


def test_sessions_of_a_host_that_dies_run_elsewhere_in_later_epochs():
    cluster = Cluster(hosts=3, sessions=6)
    cluster.run(1)
    before = {order.stream: cluster.directory.find(order.stream) for order in cluster.orders}
    lost = list(cluster.hosts["a"].sessions)
    cluster.hosts["a"].kill()
    cluster.run(0.2)
    assert cluster.is_consistent()
    assert counts(cluster) == {"a": 0, "b": 3, "c": 3}
    for stream, location in before.items():
        moved = cluster.directory.find(stream)
        assert (moved.epoch > location.epoch) if stream in lost else moved == location
    cluster.hosts["a"].start()
    cluster.run(1)
    assert cluster.supervisor.describe_hosts()["hosts"][0]["state"] == "up"
    assert cluster.supervisor.lost_hosts == 1


def test_a_host_that_restarts_between_two_reports_is_noticed():
    cluster = Cluster(hosts=2, sessions=4)
    cluster.run(1)
    cluster.hosts["a"].kill()
    cluster.hosts["a"].start()
    cluster.run(1)
    assert cluster.is_consistent()


def test_a_host_that_hangs_loses_its_sessions_and_closes_them_when_it_is_back():
    cluster = Cluster(hosts=2, sessions=4)
    cluster.run(1)
    cluster.hosts["a"].is_hung = True
    cluster.run(5)
    assert len(cluster.hosts["b"].sessions) == 4
    assert all(cluster.directory.find(stream).endpoint == found.endpoint
               for stream, found in cluster.hosts["b"].sessions.items())  # fmt: skip
    cluster.hosts["a"].resume()
    cluster.run(1)
    assert cluster.is_consistent()
    assert counts(cluster) == {"a": 0, "b": 4}


def test_what_has_no_room_waits_with_the_reason_until_there_is():
    cluster = Cluster(hosts=2, sessions=5, capacity=0.2)
    cluster.run(1)
    (reason,) = cluster.supervisor.describe_hosts()["waiting"].values()
    assert "2 hosts hold 4 of its cost" in reason
    with pytest.raises(ClusterFull):
        cluster.supervisor.add_session(SessionOrder("new", CONFIG))
    cluster.hosts["a"].capacity = 0.3
    cluster.run(2)
    assert cluster.is_consistent()


def test_sessions_of_a_host_that_dies_run_on_a_full_one_where_no_other_has_room():
    cluster = Cluster(hosts=2, sessions=4, capacity=0.2)
    cluster.run(1)
    assert counts(cluster) == {"a": 2, "b": 2}
    cluster.hosts["a"].kill()
    cluster.run(1)
    assert len(cluster.hosts["b"].sessions) == 4
    assert cluster.supervisor.describe_hosts()["waiting"] == {}
    with pytest.raises(ClusterFull):
        cluster.supervisor.add_session(SessionOrder("new", CONFIG))


def test_a_restarted_supervisor_knows_what_spares_took_over_and_what_that_costs():
    cluster = Cluster(hosts=2, sessions=2, capacity=0.2, spares=("b",))
    cluster.run(1)
    cluster.hosts["a"].kill()
    cluster.run(1)
    assert counts(cluster) == {"a": 0, "b": 2}
    cluster.supervisor = ClusterSupervisor(cluster.hosts, cluster.orders, cluster.directory, spares=("b",))
    cluster.hosts["a"].start()
    cluster.run(1)
    hosts = cluster.supervisor.describe_hosts()["hosts"]
    assert [(host["spare"], host["load"]) for host in hosts] == [(False, 0.0), (False, 0.2)]
    cluster.supervisor.set_draining("b", True)
    cluster.run(10)
    assert counts(cluster) == {"a": 2, "b": 0}


def test_the_supervisor_goes_on_after_a_step_that_fails():
    stopping, steps = threading.Event(), []

    def step(now_s):
        steps.append(now_s)
        if len(steps) < 3:
            raise KeyError("s0")
        stopping.set()

    step_until(stopping, step)
    assert len(steps) == 3


def test_a_restarted_supervisor_takes_over_what_runs():
    cluster = Cluster(hosts=2, sessions=4)
    cluster.run(1)
    before = {order.stream: cluster.directory.find(order.stream) for order in cluster.orders}
    cluster.directory = StreamDirectory(lambda: int(cluster.now_s * 1e9))
    cluster.supervisor = ClusterSupervisor(cluster.hosts, cluster.orders, cluster.directory)
    cluster.run(1)
    assert {order.stream: cluster.directory.find(order.stream) for order in cluster.orders} == before
    assert cluster.is_consistent()


def test_sessions_are_added_and_removed_and_end():
    cluster = Cluster(hosts=1, sessions=1)
    cluster.run(1)
    cluster.supervisor.add_session(SessionOrder("new", CONFIG))
    cluster.run(1)
    with pytest.raises(ClusterError, match="is there already"):
        cluster.supervisor.add_session(SessionOrder("new", CONFIG))
    cluster.supervisor.remove_session("new")
    cluster.run(1)
    assert set(cluster.hosts["a"].sessions) == {"s0"}
    assert cluster.directory.find("new") is None
    with pytest.raises(ClusterError, match="no session of stream 'new'"):
        cluster.supervisor.remove_session("new")
    cluster.hosts["a"].sessions["s0"] = SessionReport("tcp://10.0.0.1:1", ending="the clip has ended")
    cluster.run(1)
    assert cluster.supervisor.has_ended()
    assert cluster.supervisor.describe_hosts()["waiting"] == {"s0": "the clip has ended"}
    assert cluster.hosts["a"].sessions == {}


def test_sessions_that_came_and_went_take_no_memory():
    cluster = Cluster(hosts=1, sessions=0)
    for number in range(70):
        cluster.supervisor.add_session(SessionOrder(f"n{number}", CONFIG)) if number else cluster.run(1)
        cluster.run(0.3)
        for stream in cluster.hosts["a"].sessions:
            cluster.hosts["a"].sessions[stream] = SessionReport("tcp://10.0.0.1:1", ending="the clip has ended")
        cluster.run(0.6)
        assert cluster.supervisor.find_failure(f"n{number}") == ("" if number else "it was closed")
    assert [each.stream for each in cluster.supervisor.list_streams()] == sorted(f"n{n}" for n in range(6, 70))
    assert cluster.supervisor.has_ended()


def make_config(stream, source="pupil://127.0.0.1:50020"):
    return RunConfig(source=source, publish=PublishConfig(stream=stream))


@contextlib.contextmanager
def stepped(cluster):
    """Step a cluster on a thread, as its actor does."""
    stopping = threading.Event()

    def step():
        while not stopping.wait(0.002):
            cluster.run(0.1)

    thread = threading.Thread(target=step, daemon=True)
    thread.start()
    try:
        yield ClusterSessions(cluster.supervisor, HostSettings())
    finally:
        stopping.set()
        thread.join(60)


def test_sessions_are_opened_and_closed_by_requests_or_refused_with_the_reason_and_the_number():
    cluster = Cluster(hosts=2, sessions=2, capacity=0.2)
    cluster.run(1)
    with stepped(cluster) as sessions:
        sessions.open_session(make_config("anna"))
        assert cluster.directory.find("anna") is not None
        assert ("anna", "running") in [(each.stream, each.state) for each in sessions.list_streams()]
        with pytest.raises(SettingsError, match="two sessions are called anna"):
            sessions.open_session(make_config("anna"))
        with pytest.raises(SessionRefused, match=r"session ben: there is no missing\.mp4"):
            sessions.open_session(make_config("ben", "file:missing.mp4"))
        sessions.open_session(make_config("ben"))
        with pytest.raises(ClusterFull, match=r"no room for 'carl'.* 2 hosts hold 4 "):
            sessions.open_session(make_config("carl"))
        sessions.close_session("anna")
        assert cluster.directory.find("anna") is None
        with pytest.raises(ClusterError, match="no session of stream 'anna'"):
            sessions.close_session("anna")
        sessions.open_session(make_config("carl"))
    assert {stream for host in cluster.hosts.values() for stream in host.sessions} == {"s0", "s1", "ben", "carl"}


def test_the_host_of_a_wearer_answers_requests_about_it():
    cluster = Cluster(hosts=2, sessions=2)
    sessions, replies = ClusterSessions(cluster.supervisor, HostSettings()), []
    with pytest.raises(SessionRefused, match="session s1 is waiting: not placed yet"):
        sessions.submit("s1", HoldRequest(), replies.append)
    cluster.run(1)
    sessions.submit("s1", HoldRequest(), replies.append)
    holder = cluster.hosts[cluster.holders()["s1"][0]]
    assert replies == [f"s1 by {holder.name}".encode()]
    holder.is_dead = True
    sessions.submit("s1", HoldRequest(), replies.append)
    assert f"{holder.name} is dead".encode() in replies[1]
    for stream, problem in ((None, "name a stream"), ("dora", "no session is called 'dora'")):
        with pytest.raises(SessionRefused, match=problem):
            sessions.submit(stream, HoldRequest(), replies.append)


def test_a_restarted_supervisor_keeps_requested_sessions_and_none_that_was_closed():
    cluster = Cluster(hosts=2, sessions=1)
    cluster.run(1)
    for stream in ("anna", "ben"):
        cluster.supervisor.add_session(SessionOrder.of(make_config(stream), is_requested=True))
    cluster.run(1)
    cluster.supervisor.remove_session("ben")
    cluster.run(1)
    before = cluster.directory.find("anna")
    cluster.directory = StreamDirectory(lambda: int(cluster.now_s * 1e9))
    cluster.supervisor = ClusterSupervisor(cluster.hosts, cluster.orders, cluster.directory)
    cluster.run(1)
    assert cluster.directory.find("anna") == before
    assert cluster.directory.list_streams() == ["anna", "s0"]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["kill", "start", "hang", "resume", "drain", "undrain", "wait"]),
        st.sampled_from("abc"),
        st.sampled_from([0.1, 0.3, 1.0, 4.0]),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(EVENTS, st.sets(st.sampled_from(["s0", "s1", "s2", "s3"])), st.booleans(), st.sampled_from([0.25, 1.0]))
def test_whatever_happens_each_session_ends_on_one_host_that_the_directory_names(
    events, exclusive, has_spare, capacity
):
    cluster = Cluster(3, 4, capacity, ("c",) if has_spare else (), exclusive)
    epochs = {}
    for event, name, seconds in events:
        host = cluster.hosts[name]
        if event == "kill":
            host.kill()
        elif event == "start" and host.is_dead:
            host.start()
        elif event == "hang":
            host.is_hung = True
        elif event == "resume":
            host.resume()
        elif event in ("drain", "undrain"):
            with contextlib.suppress(ClusterError):
                cluster.supervisor.set_draining(name, event == "drain")
        cluster.run(seconds)
        for order in cluster.orders:
            location = cluster.directory.find(order.stream)
            if location is not None:
                assert location.epoch >= epochs.get(order.stream, 0)
                epochs[order.stream] = location.epoch
    for name, host in cluster.hosts.items():
        if host.is_dead:
            host.start()
        host.resume()
        cluster.run(1)
        with contextlib.suppress(ClusterError):
            cluster.supervisor.set_draining(name, False)
    cluster.run(70)
    assert cluster.is_consistent(), (cluster.holders(), cluster.supervisor.describe_hosts())
