"""How many Ray actors are asked for, and how large."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import SettingsError
from pipelines.ray_sizes import CPUS_PER_ACTOR, Size, Sizing
from pipelines.settings import TagSettings

CLUSTER = "127.0.0.1:6379"


def asked(nodes: list[dict[str, float]], **given) -> list[Size]:
    given = {"ray_address": CLUSTER, **given}
    settings = TagSettings("archive", "lake", executor="ray", **given)
    return Sizing.of(settings, nodes).at_start(nodes)


def on_cpus(*cpus: float) -> list[dict[str, float]]:
    return [{"CPU": each} for each in cpus]


def test_each_node_is_filled_by_actors_of_its_own_size_largest_first():
    assert asked(on_cpus(2, 17, 0)) == [Size(0, 4)] * 4 + [Size(0, 2)]
    assert asked(on_cpus(6)) == [Size(0, 6)]


def test_one_actor_for_each_gpu_with_a_share_of_its_nodes_cpus():
    nodes = [{"CPU": 64, "GPU": 8}, {"CPU": 6, "GPU": 4}, {"CPU": 32}]
    assert asked(nodes) == [Size(1, 4)] * 8 + [Size(1, 1)] * 4
    assert asked(nodes, device="cpu") == [Size(0, 6)] + [Size(0, 4)] * 24


def test_gpus_are_shared_where_asked_and_none_is_split_over_two():
    assert asked([{"CPU": 64, "GPU": 2}], worker_gpus=0.4) == [Size(0.4, 4)] * 4
    local = asked([{"CPU": 8, "GPU": 2}], ray_address=None, workers=3)
    assert local == [Size(0.5, 2)] * 3


def test_more_than_the_nodes_hold_is_asked_for_all_the_same():
    assert asked(on_cpus(4), workers=3) == [Size(0, 4)] * 3
    assert asked([], workers=2) == [Size(0, CPUS_PER_ACTOR)] * 2
    assert asked([]) == [Size(0, CPUS_PER_ACTOR)]
    assert asked(on_cpus(4), device="cuda", workers=2) == [Size(1, CPUS_PER_ACTOR)] * 2
    assert asked(on_cpus(4), worker_cpus=8) == [Size(0, 8)]


@pytest.mark.parametrize(
    ("size", "node", "fits"),
    [
        (Size(0, 4), {"CPU": 4}, True),
        (Size(0, 4), {"CPU": 2, "GPU": 1}, False),
        (Size(0.5, 1), {"CPU": 1, "GPU": 1}, True),
        (Size(1, 1), {"CPU": 8}, False),
    ],
)
def test_an_actor_fits_where_all_it_takes_is_there(size, node, fits):
    assert size.fits(node) is fits


def test_on_this_machine_workers_share_what_there_is():
    assert asked(on_cpus(2), ray_address=None, workers=4) == [Size(0, 0.5)] * 4
    assert asked(on_cpus(8), ray_address=None, workers=3) == [Size(0, 2)] * 3
    assert asked(on_cpus(8), ray_address=None) == [Size(0, 4)] * 2


@given(
    nodes=st.lists(
        st.fixed_dictionaries({"CPU": st.integers(0, 128), "GPU": st.integers(0, 8)}), max_size=8
    ),
    worker_cpus=st.none() | st.sampled_from([0.5, 1, 3, 8]),
    worker_gpus=st.none() | st.sampled_from([1.0, 0.5, 0.3]),
)
def test_what_fills_the_nodes_fits_on_them(nodes, worker_cpus, worker_gpus):
    sizing = Sizing.of(
        TagSettings(
            "a", "l", ray_address=CLUSTER, worker_cpus=worker_cpus, worker_gpus=worker_gpus
        ),
        nodes,
    )
    for node in nodes:
        sizes = sizing.of_node(node)
        assert sum(size.cpus for size in sizes) <= node["CPU"] + 1e-9
        assert sum(size.gpus for size in sizes) <= node["GPU"] + 1e-9
        assert all(size.cpus < 1 or size.cpus == int(size.cpus) for size in sizes)  # as Ray wants
    assert Counter(sizing.at_start(nodes)) == Counter(
        size for node in nodes for size in sizing.of_node(node)
    ) or not any(sizing.of_node(node) for node in nodes)


@pytest.mark.parametrize("given", [{"worker_cpus": 1.5}, {"worker_cpus": 0}, {"worker_gpus": 2}])
def test_sizes_that_ray_cannot_place_are_refused(given):
    with pytest.raises(SettingsError, match=next(iter(given))):
        TagSettings("archive", "lake", **given)
