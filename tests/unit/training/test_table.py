from __future__ import annotations

import math

import pytest

from triton_models.training.table import Goal, Row, Share, line, misses, table


def test_wilsons_interval() -> None:
    assert Share(0, 10).interval() == pytest.approx((0, 0.2775), abs=1e-4)
    assert Share(9, 10).interval() == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert Share(0, 0).interval() == (0, 1)
    assert math.isnan(Share(0, 0).value)


def test_what_does_not_apply_is_not_counted() -> None:
    assert Share.of([True, None, False, True]) == Share(2, 3)


def test_a_table_and_what_it_misses() -> None:
    columns = ("renders", "teacher")
    rows = [
        Row("shape", (Share(10, 10), Share(8, 10)), Goal(0.95)),
        Row("offset, ms", (None, 60.0), Goal(50, most=True)),
        Row("cost", (None, 1.5)),
    ]
    lines = table(columns, rows).splitlines()
    assert lines[0] == "| | renders | teacher | goal |"
    assert lines[2].startswith("| shape | 1.00 [0.72 1.00] | 0.80 [")
    assert lines[3] == "| offset, ms | - | 60 | <= 50 |"
    assert misses(columns, rows, ("teacher",)) == [
        "teacher: shape is 0.8, 0.15 from >= 0.95",
        "teacher: offset, ms is 60, 10 from <= 50",
    ]
    assert not misses(columns, rows, ("renders",))


def test_a_figure_says_by_how_much_its_goal_is_missed() -> None:
    assert line("words", 0.9, 0.95).endswith("goal >= 0.95, missed by 0.05")
    assert line("offset, mean ms", 182.0, 120).endswith("goal <= 120, missed by 62")
    assert line("offset, mean ms", 40.0, 120).endswith("goal <= 120, met")
    assert line("words", 0.9, None).endswith("0.900")
