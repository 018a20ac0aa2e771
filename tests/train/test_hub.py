"""Models of TensorFlow Hub: found offline, downloaded, and refused where they could do harm."""

import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.train.hub_models import save_averages, save_reader
from tests.train.test_keras_weights import Server, server
from train import hub
from train.errors import UsageError, WeightsError
from train.hub import digest_of_model, hub_identity, hub_layer, open_hub
from train.hub_safety import require_harmless
from train.weights import weights_identity

__all__ = ["server"]

HANDLE = "somebody/averages/1"
ADDRESS = f"https://tfhub.dev/{HANDLE}"


@pytest.fixture(scope="module")
def averages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_averages(tmp_path_factory.mktemp("hub") / "averages")


def packed(folder: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.add(folder, arcname=".")
    return stream.getvalue()


def test_a_folder_is_opened_and_named_without_its_path(averages: Path) -> None:
    model = open_hub(str(averages))
    assert (model.label, model.inputs) == ("hub averages", "unit")
    assert hub_identity(str(averages)) == f"hub {model.sha256} unit"
    assert weights_identity("convnext-tiny", f"hub:{averages}") == f"hub {model.sha256} unit"
    layer = hub_layer(model)
    # White in [0, 1] is 1 in each channel: a feature is the sum of its column of 0..14, over 15.
    white = np.ones((1, 4, 4, 3), np.float32)
    np.testing.assert_allclose(layer(white)[0], [1.0, 1.2, 1.4, 1.6, 1.8], rtol=1e-6)


def test_what_pixels_are_taken_as_stands_behind_the_handle(averages: Path) -> None:
    assert open_hub(f"{averages}#pixels").inputs == "pixels"
    with pytest.raises(UsageError, match="'bgr' is not one of imagenet, unit"):
        open_hub(f"{averages}#bgr")
    assert hub._split("")[1] == "imagenet"


def test_a_model_in_tensorflow_hubs_own_cache_serves_offline(
    averages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREADLITE_OFFLINE", "1")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    key = hashlib.sha1(ADDRESS.encode(), usedforsecurity=False).hexdigest()
    shutil.copytree(averages, tmp_path / key)
    assert open_hub(HANDLE).label == f"hub {HANDLE}"
    assert open_hub(ADDRESS).sha256 == digest_of_model(averages)
    assert open_hub("somebody/averages").folder == tmp_path / key  # the first version
    with pytest.raises(WeightsError, match=r"other/1 is in no cache .*hub:FOLDER.*--weights none"):
        open_hub("somebody/other/1")


def test_a_model_is_downloaded_once(server: Server, averages: Path) -> None:
    server.body = packed(averages)
    for _ in range(2):
        assert open_hub(f"{server.url}/averages/1").sha256 == digest_of_model(averages)
    assert server.requests == 1


def test_a_truncated_download_is_not_opened(server: Server, averages: Path) -> None:
    server.body, server.cut = packed(averages), 500
    with pytest.raises(WeightsError, match=r"the connection broke off; .*TFHUB_CACHE_DIR"):
        open_hub(f"{server.url}/averages/1")
    server.body, server.cut = server.body[:500], None  # cut off where the server does not know
    with pytest.raises(WeightsError, match="the archive is damaged"):
        open_hub(f"{server.url}/averages/2")


def test_an_unreachable_handle_is_told_with_three_ways_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path))
    monkeypatch.delenv("THREADLITE_OFFLINE", raising=False)
    with pytest.raises(WeightsError, match=r"no connection; give a folder .*--weights none"):
        open_hub("http://127.0.0.1:9/model/1")
    for word in ("no-such-folder", "/no/such/folder", "a/b/c/d"):
        with pytest.raises(WeightsError, match="neither a folder with a SavedModel"):
            open_hub(word)


def test_an_archive_that_climbs_out_of_its_folder_is_refused(
    server: Server, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../escaped")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    server.body = stream.getvalue()
    with pytest.raises(WeightsError, match="damaged"):
        open_hub(f"{server.url}/climbs/1")
    assert not list(tmp_path.rglob("escaped"))


def test_a_model_that_reads_a_file_is_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("words", encoding="utf-8")
    folder = save_reader(tmp_path / "reader", secret)
    with pytest.raises(WeightsError, match="the operator ReadFile, which may do more"):
        open_hub(str(folder))


@pytest.mark.parametrize(
    "operator", ["WriteFile", "EagerPyFunc", "DebugIdentityV2", "NoSuchOperator", "MatchingFiles"]
)
def test_an_operator_with_a_side_effect_is_refused_wherever_it_is_reached(
    averages: Path, tmp_path: Path, operator: str
) -> None:
    from train.hub_safety import _part_of_tensorflow

    model = _part_of_tensorflow("core.protobuf.saved_model_pb2").SavedModel()
    model.ParseFromString((averages / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0]
    called = next(iter(graph.object_graph_def.concrete_functions))
    hidden = graph.graph_def.library.function.add()
    hidden.signature.name = "innocent"
    hidden.node_def.add(name="harm", op=operator)
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    require_harmless(tmp_path)  # nothing calls it
    caller = next(f for f in graph.graph_def.library.function if f.signature.name == called)
    node = caller.node_def.add(name="call", op="PartitionedCall")
    node.attr["f"].func.name = "innocent"
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=f"'innocent' has the operator {operator}"):
        require_harmless(tmp_path)


def test_the_functions_that_restore_a_checkpoint_may_not_be_called(
    averages: Path, tmp_path: Path
) -> None:
    from train.hub_safety import _part_of_tensorflow

    model = _part_of_tensorflow("core.protobuf.saved_model_pb2").SavedModel()
    model.ParseFromString((averages / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0]
    functions = graph.graph_def.library.function
    saver = next(f.signature.name for f in functions if "traced_save" in f.signature.name)
    called = next(iter(graph.object_graph_def.concrete_functions))
    caller = next(f for f in functions if f.signature.name == called)
    caller.node_def.add(name="call", op="StatefulPartitionedCall").attr["f"].func.name = saver
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match="traced_save"):
        require_harmless(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a graph at all"])
def test_a_broken_savedmodel_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(WeightsError, match=r"saved_model\.pb is (not a whole|no) SavedModel"):
        open_hub(str(tmp_path))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        open_hub(str(tmp_path))


def test_a_link_in_a_model_is_refused(averages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "linked"
    shutil.copytree(averages, folder)
    inner = next((folder / "variables").glob("*.index"))
    inner.unlink()
    inner.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WeightsError, match="is a link"):
        open_hub(str(folder))
