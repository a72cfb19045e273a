"""A run survives every fault of its source and network: it says so, recovers, and shows nothing stale as new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.fault_stage import FaultStage, open_stage
from tests.faults.fault_table import FAULTS
from tests.faults.injection import InjectedFault, inject_fault

LASTS_S = 1.0


@pytest.fixture(scope="module")
def stage() -> Iterator[FaultStage]:
    with open_stage() as opened:
        yield opened


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_run_survives(stage: FaultStage, fault: InjectedFault) -> None:
    report = inject_fault(stage, fault, LASTS_S)  # waits for `degraded`, where it must be felt, and for the recovery
    assert report.stale == 0
    assert report.states[-1].startswith("degraded" if fault.is_lasting else "running")
