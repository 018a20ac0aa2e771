"""SavedModels that could do more than arithmetic are refused, called or not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.hub_models import save_averages, save_reader, save_swapped_writer
from train.errors import WeightsError
from train.hub import open_hub
from train.hub_safety import _part_of_tensorflow, require_harmless


@pytest.fixture(scope="module")
def averages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_averages(tmp_path_factory.mktemp("hub") / "averages")


def parsed(folder: Path) -> Any:
    model = _part_of_tensorflow("core.protobuf.saved_model_pb2").SavedModel()
    model.ParseFromString((folder / "saved_model.pb").read_bytes())
    return model


def refused(model: Any, folder: Path, message: str) -> None:
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=message):
        require_harmless(folder)


def entry(graph: Any) -> Any:
    """Return a function that an object of the model leads to."""
    called = next(iter(graph.object_graph_def.concrete_functions))
    return next(f for f in graph.graph_def.library.function if f.signature.name == called)


def saver_of(graph: Any) -> Any:
    functions = graph.graph_def.library.function
    return next(f for f in functions if "traced_save" in f.signature.name)


def test_a_model_that_reads_a_file_is_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("words", encoding="utf-8")
    folder = save_reader(tmp_path / "reader", secret)
    with pytest.raises(WeightsError, match="the operator ReadFile, which may do more"):
        open_hub(str(folder))


@pytest.mark.parametrize(
    "operator",
    ["WriteFile", "EagerPyFunc", "DebugIdentityV2", "NoSuchOperator", "MatchingFiles", "SaveV2"],
)
def test_an_operator_with_a_side_effect_is_refused_whether_it_is_called_or_not(
    averages: Path, tmp_path: Path, operator: str
) -> None:
    model = parsed(averages)
    graph = model.meta_graphs[0]
    hidden = graph.graph_def.library.function.add()
    hidden.signature.name = "innocent"
    hidden.node_def.add(name="harm", op=operator)
    refused(model, tmp_path, f"'innocent' has the operator {operator}")  # nothing calls it
    node = entry(graph).node_def.add(name="call", op="PartitionedCall")
    node.attr["f"].func.name = "innocent"
    refused(model, tmp_path, f"'innocent' has the operator {operator}")


def called(graph: Any, saver: str) -> None:
    node = entry(graph).node_def.add(name="call", op="StatefulPartitionedCall")
    node.attr["f"].func.name = saver


def named_in_text(graph: Any, saver: str) -> None:
    entry(graph).attr["backward_function_name"].s = saver.encode()


def gradient(graph: Any, saver: str) -> None:
    graph.graph_def.library.gradient.add(
        function_name=entry(graph).signature.name, gradient_func=saver
    )


@pytest.mark.parametrize("reach", [called, named_in_text, gradient])
def test_the_functions_that_save_a_checkpoint_may_not_be_reached(
    averages: Path, tmp_path: Path, reach: Callable[[Any, str], None]
) -> None:
    model = parsed(averages)
    graph = model.meta_graphs[0]
    reach(graph, saver_of(graph).signature.name)
    refused(model, tmp_path, "traced_save.* has the operator")


def test_the_functions_that_save_a_checkpoint_may_not_be_swapped_in_or_do_more(
    averages: Path, tmp_path: Path
) -> None:
    model = parsed(averages)
    saver_of(model.meta_graphs[0]).attr["api_implements"].s = b"average"
    refused(model, tmp_path, "traced_save.* has api_implements")
    model = parsed(averages)
    saver_of(model.meta_graphs[0]).node_def.add(name="harm", op="WriteFile")
    refused(model, tmp_path, "traced_save.* has the operator WriteFile")


def test_a_function_that_tensorflow_would_swap_in_is_refused_although_nothing_calls_it(
    tmp_path: Path,
) -> None:
    """Opened all the same, this model writes the file when it is called."""
    folder, marker = save_swapped_writer(tmp_path / "swapped", tmp_path / "written")
    with pytest.raises(WeightsError, match="'twin' has the operator WriteFile"):
        open_hub(str(folder))
    assert not marker.exists()


@pytest.mark.parametrize("name", ["MatMul", "__inference_call"])
def test_a_function_name_that_is_taken_twice_is_refused(
    averages: Path, tmp_path: Path, name: str
) -> None:
    model = parsed(averages)
    graph = model.meta_graphs[0]
    known = entry(graph).signature.name if name.startswith("__") else name
    graph.graph_def.library.function.add().signature.name = known
    refused(model, tmp_path, f"the function name '{known}' is taken twice")


@pytest.mark.parametrize("content", [b"", b"not a graph at all"])
def test_a_broken_savedmodel_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(WeightsError, match=r"saved_model\.pb is (not a whole|no) SavedModel"):
        open_hub(str(tmp_path))
