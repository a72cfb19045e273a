"""A run survives every fault of its source and network: it says so, recovers, and shows nothing stale as new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.fault_stage import FaultStage, open_camera_stage, open_stage
from tests.faults.fault_table import CAMERA_FAULTS, COMBINED_FAULTS, FAULTS
from tests.faults.injection import InjectedFault, inject_fault
from tests.faults.memory_limit import MemoryGroup

LASTS_S = 1.0


@pytest.fixture(scope="module")
def stage() -> Iterator[FaultStage]:
    with open_stage() as opened:
        yield opened


def can_limit_memory() -> bool:
    try:
        MemoryGroup().close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_run_survives(stage: FaultStage, fault: InjectedFault) -> None:
    if fault.name == "memory-limit" and not can_limit_memory():
        pytest.skip("this user may not make a memory cgroup")
    check(stage, fault)


def test_a_run_survives_without_its_camera() -> None:
    with open_camera_stage() as opened:
        for fault in CAMERA_FAULTS:
            check(opened, fault)


def test_a_run_survives_several_faults_at_once() -> None:
    with open_stage() as opened:
        for fault in COMBINED_FAULTS:
            check(opened, fault)


def check(stage: FaultStage, fault: InjectedFault) -> None:
    report = inject_fault(stage, fault, LASTS_S)  # waits for `degraded`, where it must be felt, and for the recovery
    assert report.stale == 0
    assert report.states[-1].startswith("degraded" if fault.is_lasting else "running")
