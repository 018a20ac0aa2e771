"""The graph as data: read, changed and built again, and what it refuses."""

import numpy as np
import pytest

from optimize.rewrite_graph import build_model, read_graph
from tests.optimize.rewrite_cases import answers, network
from tests.tiny_models import tiny_network
from train.backend import keras
from train.errors import ConversionError


def test_a_network_comes_back_the_same_and_is_not_touched() -> None:
    model = tiny_network()
    weights = model.get_weights()
    graph = read_graph(model)
    again = build_model(graph)
    assert np.array_equal(answers(again), answers(model))
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert again.get_config()["layers"][3] == model.get_config()["layers"][3]
    again.set_weights([np.zeros_like(weight) for weight in weights])
    for before, after in zip(weights, model.get_weights(), strict=True):
        assert np.array_equal(before, after)


def test_the_graph_knows_who_takes_what() -> None:
    graph = read_graph(tiny_network())
    assert (graph.input, graph.output) == ("pixels", "probabilities")
    assert {node.name for node in graph.takers("relu0")} == {"conv1", "add1"}
    assert graph.only_taker("relu0") is None
    taker = graph.only_taker("conv1")
    assert taker is not None and taker.name == "norm1"
    assert graph.only_taker("probabilities") is None
    assert graph.source(graph.nodes["add1"]) is None
    assert graph.nodes["conv1"].shape == (None, 16, 16, 8)


def test_a_layer_that_takes_the_same_maps_twice_is_no_single_taker() -> None:
    graph = read_graph(
        network(lambda layers, maps: layers.Add(name="twice")([layers.ReLU(name="r")(maps)] * 2))
    )
    assert graph.nodes["twice"].inputs == ("r", "r")
    assert graph.only_taker("r") is None


def test_leaving_out_the_last_layer_moves_the_output() -> None:
    graph = read_graph(tiny_network()).without("probabilities")
    assert graph.output == "logits"
    assert "probabilities" not in graph.nodes


def test_a_name_that_is_taken_is_refused() -> None:
    graph = read_graph(tiny_network())
    with pytest.raises(ConversionError, match=r"tiny: a rewrite of 'conv1' needs .* 'conv2'"):
        graph.with_replacement("conv1", [graph.nodes["conv2"]], "conv2")


def test_networks_that_are_no_plain_graph_are_refused() -> None:
    k = keras()
    pixels = k.Input((8, 8, 3), name="pixels")
    shared = k.layers.Conv2D(3, 1, name="shared")
    twice = k.Model(pixels, shared(shared(pixels)), name="twice")
    with pytest.raises(ConversionError, match="twice: layer 'shared' is called 2 times"):
        read_graph(twice)
    outer = k.Model(pixels, k.Model(pixels, shared(pixels), name="inner")(pixels), name="outer")
    with pytest.raises(ConversionError, match="outer: layer 'inner' is a Functional"):
        read_graph(outer)
    forked = k.Model(pixels, [shared(pixels), pixels], name="forked")
    with pytest.raises(ConversionError, match="forked: it has 1 inputs and 2 outputs"):
        read_graph(forked)
