import io

from rich.console import Console

from threadlite.console import Display


def shown(terminal: bool) -> tuple[Display, io.StringIO]:
    stream = io.StringIO()
    return Display(Console(file=stream, force_terminal=terminal, width=100)), stream


def test_lines_tell_minutes_and_keep_their_brackets() -> None:
    display, stream = shown(terminal=False)
    with display:
        display.say("a class called [red]")
    assert stream.getvalue() == "[00:00] a class called [red]\n"


def test_no_bar_is_drawn_into_a_file() -> None:
    display, stream = shown(terminal=False)
    with display:
        display.begin("epoch 1 of 2", 10)
        display.advance(5)
    assert stream.getvalue().strip() == ""


def test_bars_are_drawn_on_a_terminal_one_at_a_time() -> None:
    display, stream = shown(terminal=True)
    with display:
        display.begin("first", 10)
        display.begin("second", 4)
        display.advance(3)
        assert [task.description for task in display._bars.tasks] == ["second"]
        assert display._bars.tasks[0].completed == 3
    assert "3/4" in stream.getvalue()


def test_download_is_one_bar_however_often_it_tells() -> None:
    display, _ = shown(terminal=True)
    with display:
        display.begin("reading photos", 0)
        for so_far in (10, 20, 30):
            display.received(so_far, 40)
        (task,) = display._bars.tasks
        assert (task.completed, task.total) == (30, 40)
        display.received(35, None)
        assert display._bars.tasks[0].completed == 35
