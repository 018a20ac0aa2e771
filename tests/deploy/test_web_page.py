"""The page in a real browser: both engines, golden pictures, keyboard, camera, offline."""

import base64
import contextlib
import io
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from deploy.browser import with_page
from deploy.bundle import Bundle, write_bundle
from deploy.golden import read_golden
from tests.foreign import chromium, page_runtimes
from threadlite import serve
from train.artifact import Artifact
from train.pixels import PixelContract, decode

ENGINES = ("LiteRT.js", "ONNX Runtime Web")
PAGES = [(1280, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(variants: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle with the page: an int8 ``.tflite``, whose output is quantized, and ONNX."""
    folder = tmp_path_factory.mktemp("site")
    plain = write_bundle([variants["int8.tflite"], variants["float.onnx"]], folder / "plain")
    return with_page(plain, folder / "site", page_runtimes())


@contextlib.contextmanager
def served(bundle: Bundle, *, until_cut_off: bool = False) -> Iterator[ThreadingHTTPServer]:
    with serve.open_server(bundle) as server:
        if until_cut_off:  # a connection that is kept open is answered after the server has ended
            server.RequestHandlerClass.protocol_version = "HTTP/1.0"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def opened(browser: Any, server: ThreadingHTTPServer, width: int, scheme: str) -> Iterator[Any]:
    """Yield the page, ready; that it threw nothing and asked nobody else is asserted at the end."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    own = f"http://{serve.LOOPBACK}:{server.server_port}/"
    faults: list[str] = []
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(serve.address_of(server))
    page.wait_for_selector("#check:enabled", timeout=60_000)
    yield page
    assert faults == []
    assert [url for url in asked if not url.startswith((own, "blob:" + own, "data:"))] == []
    assert own + "model.tflite" in asked
    context.close()


@pytest.fixture(scope="module")
def server(site: Bundle) -> Iterator[ThreadingHTTPServer]:
    with served(site) as server:
        yield server


@pytest.fixture(scope="module", params=PAGES, ids=str)
def page(browser: Any, server: ThreadingHTTPServer, request: pytest.FixtureRequest) -> Any:
    with opened(browser, server, *request.param) as page:
        yield page


def settle(page: Any) -> None:
    page.wait_for_selector("body:not([aria-busy])", timeout=60_000)


def first_class(page: Any) -> str:
    settle(page)
    return str(page.locator("#classes li").first.locator("span").first.inner_text())


def give(page: Any, picture: Image.Image, form: str = "PNG", **options: Any) -> None:
    stream = io.BytesIO()
    picture.save(stream, format=form, **options)
    name = f"photo.{form.lower()}"
    file = {"name": name, "mimeType": f"image/{form.lower()}", "buffer": stream.getvalue()}
    page.set_input_files("#file", file)
    page.wait_for_function("text => document.querySelector('#preview').alt === text", arg=name)
    settle(page)


@pytest.mark.parametrize("engine", ENGINES)
def test_golden_pictures_have_the_same_top_class(page: Any, site: Bundle, engine: str) -> None:
    page.get_by_label(engine).check()
    settle(page)
    index, _ = read_golden(site.folder / "golden", site.manifest.pixels)
    file = {"LiteRT.js": "model.tflite", "ONNX Runtime Web": "model.onnx"}[engine]
    buttons = page.locator("#pictures button")
    assert buttons.count() == len(index.pictures) == 16
    for number in (0, 1, 2):  # the surest of each class come first
        buttons.nth(number).click()
        wanted = site.manifest.labels[index.pictures[number].outputs[file].top]
        assert first_class(page) == wanted
    page.get_by_role("button", name="Check them all").click()
    settle(page)
    told = page.locator("#checked").inner_text()
    assert told.startswith(f"As it must be: same top class on 16 of 16 pictures under {engine}")


def padded_pool() -> bytes:
    """Return an ONNX model: a pixel less one, zeros around the map, the largest of 3 x 3."""
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=kinds.FLOAT),
        helper.make_node("Sub", ["numbers", "one"], ["shifted"]),
        helper.make_node("Pad", ["shifted", "pads"], ["padded"]),
        helper.make_node("MaxPool", ["padded"], ["largest"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "padded-pool",
        [helper.make_tensor_value_info("pixels", kinds.UINT8, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("largest", kinds.FLOAT, [1, 1, 2, 2])],
        [
            helper.make_tensor("one", kinds.FLOAT, [], [1.0]),
            helper.make_tensor("pads", kinds.INT64, [8], [0, 0, 1, 1, 0, 0, 1, 1]),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    return bytes(model.SerializeToString())


def test_zeros_around_a_map_stay_zeros_before_a_max_pool(page: Any) -> None:
    """Over black pixels every number is -1: a window with a zero of the padding has 0 for it."""
    model = base64.b64encode(padded_pool()).decode()
    found = page.evaluate(
        """async (model) => {
            const { ENGINES } = await import('./engines.js');
            const bytes = Uint8Array.from(atob(model), (letter) => letter.charCodeAt(0));
            const opened = await ENGINES.onnx.open(bytes, [1, 1, 4, 4]);
            return Array.from(await opened.run(new Uint8Array(16)));
        }""",
        model,
    )
    # Rows and columns 0 and 5 of 6 are padding; windows begin at 0 and 2.
    assert found == [0.0, 0.0, 0.0, -1.0]


def test_a_golden_picture_that_is_another_is_told(page: Any) -> None:
    page.evaluate(
        "import('./bundle.js').then(({faultOf}) => { window.found = faultOf("
        " [0.2, 0.8], {file: '01.png', outputs: {m: {raw: [0.9, 0.1], top: 0, decisive: true}}},"
        " {file: 'm', output_quantization: null}, {models: {m: {tolerance: 0.5}}}); })"
    )
    page.wait_for_function("window.found")
    found = page.evaluate("window.found")
    assert found["fault"] == "01.png gives class 1, must give 0"
    assert found["difference"] == pytest.approx(0.7) and not found["sameTop"]


def test_it_fits_its_window_and_fingers(page: Any) -> None:
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    for control in page.locator("button:visible, .button:visible, fieldset label").all():
        assert control.bounding_box()["height"] >= 44  # the size that Apple asks of a target


def test_it_is_used_by_keyboard_alone(page: Any) -> None:
    page.locator("body").evaluate("body => { document.activeElement.blur(); body.focus(); }")
    page.get_by_label(ENGINES[0]).check()
    settle(page)
    page.locator("#file").focus()
    reached = []
    for _ in range(5):
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
        outline = "getComputedStyle(document.activeElement.closest('.unseen') ?"
        outline += " document.activeElement.nextElementSibling : document.activeElement)"
        page.keyboard.press("Tab")
        assert page.evaluate(f"{outline}.outlineStyle") != "none"
    assert reached[:4] == ["file", "camera", "engine", "keep"]
    page.keyboard.press("Enter")  # on the second golden picture
    settle(page)
    assert page.locator("#preview").get_attribute("alt") == "Golden picture 2"
    page.get_by_label(ENGINES[0]).focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    assert page.get_by_label(ENGINES[1]).is_checked()
    assert "ONNX Runtime Web" in page.locator("#times").inner_text()


def test_a_screen_reader_hears_names_states_and_answers(page: Any) -> None:
    page.locator("#pictures button").first.click()
    settle(page)
    tree = page.locator("main").aria_snapshot()
    for part in (
        'heading "Photo"',
        'button "Choose a photo"',
        'group "Runs on"',
        'radio "LiteRT.js"',
        'list "Likeliest classes"',
        'button "Golden picture 16"',
    ):
        assert part in tree
    spoken = page.locator("#status")
    assert spoken.get_attribute("role") == "status"
    assert spoken.inner_text().startswith(first_class(page) + ", ")


def test_pixels_are_those_of_training(page: Any) -> None:
    generator = np.random.default_rng(0)
    for columns, rows in ((61, 37), (20, 33), (90, 70)):
        noise = generator.integers(0, 256, (rows, columns, 3)).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(noise).save(stream, format="PNG")
        found = page.evaluate(
            "async (text) => { const {openPicture, pixelsOf} = await import('./pixels.js');"
            " const photo = await (await fetch(`data:image/png;base64,${text}`)).blob();"
            " const pixels = pixelsOf(await openPicture(photo), 48, 40);"
            " return btoa(String.fromCharCode(...pixels)); }",
            base64.b64encode(stream.getvalue()).decode(),
        )
        wanted = decode(stream.getvalue(), PixelContract(height=40, width=48))
        assert base64.b64decode(found) == wanted.tobytes()


def test_a_phones_photo_is_turned_upright(page: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: the stored picture lies on its side
    give(page, Image.new("RGB", (80, 40), "teal"), "JPEG", exif=exif)
    size = page.evaluate("(({naturalWidth: w, naturalHeight: h}) => [w, h])(preview)")
    assert size == [40, 80]


def test_what_is_no_picture_is_refused_and_the_next_one_taken(page: Any) -> None:
    text = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    page.set_input_files("#file", text)
    page.wait_for_selector("#status.fault")
    said = page.locator("#status").inner_text()
    assert "notes.txt is not a picture that this browser can open" in said
    give(page, Image.new("RGB", (40, 40), "navy"))
    assert page.locator("#status.fault").count() == 0


def test_a_photo_is_dropped_and_one_taken_by_the_camera(page: Any) -> None:
    page.evaluate(
        "async () => { const canvas = new OffscreenCanvas(30, 30); canvas.getContext('2d');"
        " const given = new DataTransfer();"
        " given.items.add(new File([await canvas.convertToBlob()], 'dropped.png',"
        " {type: 'image/png'}));"
        " document.dispatchEvent(new DragEvent('drop', {dataTransfer: given})); }"
    )
    page.wait_for_selector("#preview[alt='dropped.png']")
    settle(page)
    page.get_by_role("button", name="Use the camera").click()
    page.wait_for_selector("#video:visible")
    page.keyboard.press("Enter")  # the focus is on the button that takes the photo
    page.wait_for_selector("#preview[alt='Photo from the camera']:visible")
    settle(page)
    assert page.evaluate("video.srcObject === null") and not page.locator("#video").is_visible()


def cut_off(page: Any, server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()
    page.reload()
    page.wait_for_selector("#check:enabled", timeout=60_000)


def test_it_works_offline_once_loaded(browser: Any, site: Bundle) -> None:
    with (
        served(site, until_cut_off=True) as server,
        opened(browser, server, 390, "light") as page,
    ):
        cut_off(page, server)
        page.locator("#pictures button").first.click()
        wanted = first_class(page)
        assert wanted in site.manifest.labels
        page.get_by_label(ENGINES[1]).click()  # which was never loaded
        page.wait_for_selector("#status.fault")
        settle(page)
        said = page.locator("#status").inner_text()
        assert "ONNX Runtime Web cannot be used (model.onnx is not kept on this device" in said
        assert said.endswith("LiteRT.js is used.")
        assert page.get_by_label(ENGINES[0]).is_checked()
        assert first_class(page) == wanted


def test_all_engines_work_offline_once_they_are_kept(browser: Any, site: Bundle) -> None:
    with (
        served(site, until_cut_off=True) as server,
        opened(browser, server, 390, "light") as page,
    ):
        page.get_by_role("button", name="Keep them all for offline use").click()
        settle(page)
        assert page.locator("#kept").inner_text().startswith("Kept: ")
        assert page.get_by_label(ENGINES[0]).is_checked()
        cut_off(page, server)
        for engine in ENGINES:
            page.get_by_label(engine).check()
            settle(page)
            page.get_by_role("button", name="Check them all").click()
            settle(page)
            told = page.locator("#checked").inner_text()
            assert told.startswith("As it must be: same top class on 16 of 16") and engine in told
            assert page.locator("#status.fault").count() == 0


def test_without_the_servers_headers_it_runs_on_one_thread(
    browser: Any, site: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "HEADERS", {})
    with served(site) as server, opened(browser, server, 1280, "light") as page:
        for engine in ENGINES:
            page.get_by_label(engine).check()
            page.locator("#pictures button").first.click()
            settle(page)
            assert f"on {engine}, 1 thread;" in page.locator("#times").inner_text()
