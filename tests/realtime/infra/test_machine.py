"""The number of GPUs that NVIDIA's driver reports, with and without a driver."""

import ctypes

import pytest

from realtime.infra.machine import count_nvidia_gpus


class FakeDriver:
    """The two functions of libcuda that are used."""

    def __init__(self, init_error, count):
        self._init_error, self._count = init_error, count

    def cuInit(self, flags):
        return self._init_error

    def cuDeviceGetCount(self, address):
        ctypes.cast(address, ctypes.POINTER(ctypes.c_int))[0] = self._count
        return 0


@pytest.mark.parametrize(("init_error", "count", "expected"), [(0, 2, 2), (0, 0, 0), (100, 2, 0)])
def test_the_driver_is_asked(monkeypatch, init_error, count, expected):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeDriver(init_error, count))
    assert count_nvidia_gpus() == expected


@pytest.mark.parametrize("driver", [OSError("no such file"), object()])
def test_without_a_driver_or_with_another_library_there_are_none(monkeypatch, driver):
    def load(name):
        if isinstance(driver, OSError):
            raise driver
        return driver

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert count_nvidia_gpus() == 0
