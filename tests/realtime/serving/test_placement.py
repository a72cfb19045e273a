import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import ClusterError
from realtime.serving.cluster.placement import ClusterFull, Placement, SessionMove

COSTS = st.floats(0.05, 0.6)
HOSTS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.2, 4.0), min_size=1)
SESSIONS = st.dictionaries(st.integers(0, 99).map(str), COSTS, max_size=40)


def make(hosts, sessions=()):
    placement = Placement()
    for host, capacity in hosts.items():
        placement.set_host(host, capacity)
    for stream, cost in dict(sessions).items():
        placement.set_cost(stream, cost)
    return placement


def place_all(placement, streams):
    """Place what fits; return the others."""
    refused = []
    for stream in streams:
        try:
            placement.place(stream)
        except ClusterFull:
            refused.append(stream)
    return refused


def is_within_capacity(placement):
    return all(placement.load_of(host) <= capacity + 1e-6 for host, capacity in placement.hosts.items())


@settings(max_examples=40, deadline=None)
@given(HOSTS, SESSIONS)
def test_no_host_is_overloaded_and_what_is_refused_fits_nowhere(hosts, sessions):
    placement = make(hosts, sessions)
    refused = place_all(placement, placement.sort_by_cost(sessions))
    assert is_within_capacity(placement)
    assert set(placement.sessions) == sessions.keys() - set(refused)
    assert all(placement.count_fitting(sessions[stream]) == 0 for stream in refused)


@settings(max_examples=40, deadline=None)
@given(HOSTS, COSTS)
def test_as_many_fit_as_are_counted(hosts, cost):
    placement = make(hosts)
    fitting = placement.count_fitting(cost)
    streams = [str(number) for number in range(fitting + 1)]
    for stream in streams:
        placement.set_cost(stream, cost)
    assert place_all(placement, streams) == streams[fitting:]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(0, 60))
def test_equal_sessions_are_spread_evenly(hosts, sessions):
    placement = make({str(host): 100.0 for host in range(hosts)}, {f"s{number}": 0.1 for number in range(sessions)})
    assert not place_all(placement, [f"s{number}" for number in range(sessions)])
    counts = [len(placement.streams_of(host)) for host in placement.hosts]
    assert max(counts) - min(counts) <= 1


@settings(max_examples=40, deadline=None)
@given(HOSTS, SESSIONS, st.data())
def test_sessions_of_a_dead_host_go_elsewhere_and_no_other_moves(hosts, sessions, data):
    placement = make(hosts, sessions)
    place_all(placement, placement.sort_by_cost(sessions))
    dead = data.draw(st.sampled_from(sorted(hosts)))
    before = dict(placement.sessions)
    lost = placement.remove_host(dead)
    assert sorted(lost) == sorted(stream for stream, host in before.items() if host == dead)
    refused = place_all(placement, lost)
    assert is_within_capacity(placement)
    assert dead not in placement.sessions.values()
    assert {stream: host for stream, host in before.items() if host != dead}.items() <= placement.sessions.items()
    placement.set_host(dead, hosts[dead])  # restarted: there was room for all of them
    assert not place_all(placement, refused)


@settings(max_examples=40, deadline=None)
@given(HOSTS, SESSIONS, st.data())
def test_a_host_is_drained_one_by_one_as_far_as_there_is_room(hosts, sessions, data):
    placement = make(hosts, sessions)
    place_all(placement, placement.sort_by_cost(sessions))
    drained = data.draw(st.sampled_from(sorted(hosts)))
    placement.set_draining(drained, True)
    while (move := placement.next_move(drained, placement.sessions)) is not None:
        assert (move.source, placement.sessions[move.stream]) == (drained, drained)
        assert move.target != drained
        placement.move(move.stream, move.target)
        assert is_within_capacity(placement)
    left = placement.streams_of(drained)
    assert all(placement.count_fitting(placement.cost_of(stream)) == 0 for stream in left)
    place_all(placement, ["new"])
    assert placement.sessions.get("new") != drained


@settings(max_examples=40, deadline=None)
@given(HOSTS, SESSIONS)
def test_the_same_calls_give_the_same_plan(hosts, sessions):
    plans = [make(hosts, sessions), make(dict(reversed(hosts.items())), dict(reversed(sessions.items())))]
    for plan in plans:
        place_all(plan, plan.sort_by_cost(sessions))
    assert plans[0].sessions == plans[1].sessions


def test_a_refusal_names_what_is_missing():
    placement = make({"a": 1.0, "b": 0.5}, {"s": 0.9, "t": 0.2})
    assert placement.place("s") == "a"
    placement.set_cost("u", 0.6)
    with pytest.raises(ClusterFull, match="takes 60% of a device, and no host has more than 50% left") as full:
        placement.place("u")
    assert full.value.fitting == 1  # on `a`, were it empty
    assert placement.place("t") == "b"
    placement.set_draining("a", True)
    placement.set_draining("b", True)
    with pytest.raises(ClusterFull, match="there is no host now"):
        placement.place("v")


def test_what_has_run_goes_beyond_capacity_to_the_host_that_is_loaded_least():
    placement = make({"a": 1.0, "b": 1.0, "c": 0.0}, {"s": 0.9, "t": 0.6, "u": 0.5})
    assert (placement.place("s", beyond_capacity=True), placement.place("t")) == ("a", "b")
    with pytest.raises(ClusterFull):
        placement.place("u")
    assert placement.place("u", beyond_capacity=True) == "b"
    placement.set_draining("a", True)
    placement.set_draining("b", True)
    with pytest.raises(ClusterFull):  # nobody is there
        placement.place("u", beyond_capacity=True)


def test_a_crowded_host_is_relieved_until_it_is_within_its_capacity():
    placement = make({"a": 1.0}, {"s": 0.5, "t": 0.4, "u": 0.3, "v": 0.2})
    for stream in "stuv":
        placement.place(stream, beyond_capacity=True)
    assert placement.next_relief("stuv") is None  # there is no other host
    placement.set_host("b", 0.45)
    assert placement.next_relief("v") == SessionMove("v", "a", "b")
    assert placement.next_relief("suv") == SessionMove("u", "a", "b")
    placement.set_draining("b", True)
    assert placement.next_relief("stuv") is None
    placement.set_draining("b", False)
    placement.move("u", "b")
    assert placement.next_relief("st") is None  # what is left has no room there


@pytest.mark.parametrize("loads", [(1.33, 0.67), (1.5, 0.51), (1.2, 0.6)])
def test_no_session_moves_where_the_next_host_would_be_the_fuller_one(loads):
    placement = make({"a": 1.0, "b": 1.0}, {})
    for host, load in zip("ab", loads, strict=True):
        for number in range(3):
            placement.set_cost(f"{host}{number}", load / 3)
            placement.move(f"{host}{number}", host)
    assert placement.next_relief([f"a{number}" for number in range(3)]) is None


@settings(max_examples=60, deadline=None)
@given(HOSTS, SESSIONS)
def test_relief_ends_and_crowds_no_host(hosts, sessions):
    placement = make(hosts, sessions)
    for stream in sessions:
        placement.move(stream, min(hosts))
    moves = 0
    while (move := placement.next_relief(sessions)) is not None:
        placement.move(move.stream, move.target)
        moves += 1
        assert moves <= len(sessions)
        assert placement.load_of(move.target) <= hosts[move.target] + 1e-6


def test_unknown_hosts_are_refused_and_odd_figures_count_as_none():
    placement = make({"a": math.nan, "b": 1.0}, {"s": math.inf})
    with pytest.raises(ClusterError, match="no host 'c'; known: a, b"):
        placement.set_draining("c", True)
    assert placement.place("s") == "b"
    assert placement.cost_of("s") == 0
