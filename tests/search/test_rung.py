"""Cuts found without sorting, against sorting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.schedulers.rung import Rung

#: (root, value), or (root, None) for one that stands there no more; few of either, so that ties and changes come up.
changes = st.lists(st.tuples(st.integers(0, 8), st.sampled_from([None, 0.0, 0.25, 0.5, 1.0])), max_size=60)


@given(changes)
def test_a_rung_is_its_values_in_order_whatever_comes_and_goes(told: list[tuple[int, float | None]]) -> None:
    rung, values = Rung(), {}
    for root, value in told:
        if value is None:
            rung.drop(root)
            values.pop(root, None)
        else:
            rung.put(root, value)
            values[root] = value
        ranked = sorted(values, key=lambda root: (-values[root], root))
        assert list(rung) == ranked and len(rung) == len(values)
        assert [rung.value_at(place) for place in range(len(rung))] == [rung[root] for root in ranked]
        for best in range(len(ranked) + 1):
            assert {root for root in range(9) if rung.is_among(root, best)} == set(ranked[:best])
