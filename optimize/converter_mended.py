"""tf2onnx, mended while it is at work: equal files of equal networks, and one graph in memory."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def converter_mended() -> Iterator[None]:
    """Let tf2onnx keep nodes in their order, transposes as they are, and one graph in memory.

    What is left of a graph after unused nodes are dropped comes out of a set of objects, which
    every process orders anew. Where a transpose ends up hangs on which of them is pushed first:
    one file in fifteen of a network with a last map of one place came out otherwise.
    Of a map of one place it makes a reshape of each transpose, into a shape that it no longer
    knows rightly once transposes were moved: ConvNeXt at 32 pixels came out broken. Left as it is,
    such a transpose copies some hundred numbers.
    Each of its passes works on a copy of the whole graph, and what it leaves behind are circles,
    which Python collects by their number, not by their size: seven gigabytes for ResNet50.
    """
    from tf2onnx.graph import Graph
    from tf2onnx.optimizer.optimizer_base import GraphOptimizerBase
    from tf2onnx.optimizer.transpose_optimizer import TransposeOptimizer

    unordered, reshapes = Graph.extract_sub_graph_nodes, TransposeOptimizer.post_optimize_action
    careless = GraphOptimizerBase.optimize

    def ordered(graph: Any, *arguments: Any, **options: Any) -> list[Any]:
        places = {node.name: place for place, node in enumerate(graph.get_nodes())}
        found = unordered(graph, *arguments, **options)
        return sorted(found, key=lambda node: (places.get(node.name, len(places)), node.name))

    def tidy(optimizer: Any, graph: Any, iteration: int) -> Any:
        optimized = careless(optimizer, graph, iteration)
        gc.collect()
        return optimized

    Graph.extract_sub_graph_nodes = ordered
    TransposeOptimizer.post_optimize_action = lambda optimizer: None
    GraphOptimizerBase.optimize = tidy
    gc.freeze()  # what was there before is not looked at by each collection
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        GraphOptimizerBase.optimize = careless
        Graph.extract_sub_graph_nodes = unordered
        TransposeOptimizer.post_optimize_action = reshapes
