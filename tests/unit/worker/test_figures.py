"""What a worker counts and measures about itself, and about its machine."""

from __future__ import annotations

from datetime import date

import pytest

from services.worker.figures import BusyMeter, DayFigures
from services.worker.hardware import measure_hardware, parse_meminfo, parse_nvidia_smi


def test_figures_start_again_at_midnight_but_for_the_last_checkpoint() -> None:
    days = [date(2026, 1, 1)]
    figures = DayFigures(today=lambda: days[-1], checkpoint_save_time_ms=40)
    figures.completed(1000)
    figures.completed(2000)
    figures.failed()
    assert (figures.jobs_completed, figures.average_ms, figures.errors) == (2, 1500, 1)
    days.append(date(2026, 1, 2))
    assert (figures.jobs_completed, figures.average_ms, figures.errors) == (0, 0, 0)
    assert figures.checkpoint_save_time_ms == 40


def test_busy_share_counts_only_work_inside_the_window() -> None:
    now = [100.0]
    meter = BusyMeter(window_s=10, clock=lambda: now[0])
    assert meter.share() == 0
    meter.add(4000)
    assert meter.share() == pytest.approx(0.4)
    now[0] = 108.0
    # Of the four seconds that ended at 100, two lie in the window that begins at 98.
    assert meter.share() == pytest.approx(0.2)
    now[0] = 111.0
    assert meter.share() == 0
    meter.add(60_000)
    assert meter.share() == 1


def test_busy_time_is_taken_once_and_rounding_is_carried() -> None:
    meter = BusyMeter()
    for _ in range(5):
        meter.add(0.3)
    taken = [meter.take_ms()]
    meter.add(0.3)
    taken.append(meter.take_ms())
    assert sum(taken) == 2
    meter.give_back_ms(2)
    assert meter.take_ms() == 2
    meter.add(5)
    meter.reset()
    assert meter.take_ms() == 0


def test_main_memory_is_read_from_the_kernel() -> None:
    hardware = parse_meminfo("MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 2097152 kB\nHugePages_Total: 0\n")
    assert (hardware.gpu_type, hardware.gpu_count) == ("cpu", 0)
    assert (hardware.memory_total_gb, hardware.memory_used_gb) == (8.0, 6.0)


def test_gpus_are_read_from_the_driver() -> None:
    rows = "NVIDIA H100 80GB HBM3, 81920, 1024\nNVIDIA H100 80GB HBM3, 81920, 3072\n"
    topology = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV18\t0-31\nGPU1\tNV18\t X \t0-31\n"
    hardware = parse_nvidia_smi(rows, topology)
    assert (hardware.gpu_type, hardware.gpu_count) == ("NVIDIA H100 80GB HBM3", 2)
    assert (hardware.memory_total_gb, hardware.memory_used_gb) == (160.0, 4.0)
    assert hardware.nvlink_topology == "NV18"
    assert parse_nvidia_smi(rows, "GPU0\tGPU1\nGPU0\t X \tPHB\n").nvlink_topology == "none"


async def test_this_machine_can_be_measured() -> None:
    hardware = await measure_hardware()
    assert hardware.memory_total_gb > hardware.memory_used_gb >= 0
