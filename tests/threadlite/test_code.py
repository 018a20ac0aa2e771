import ast

from threadlite.code import code_digest, imported_modules


def reached(source: str) -> set[str]:
    return set(imported_modules(ast.parse(source)))


def test_imports_of_our_own_are_found_inside_functions_too() -> None:
    source = "import numpy\nfrom train.errors import DataError\ndef f():\n    import bench.record\n"
    assert reached(source) == {"train.errors", "bench.record"}


def test_modules_named_by_their_package_are_found() -> None:
    assert reached("from train import errors, nothing_here\n") == {"train", "train.errors"}


def test_training_does_not_depend_on_the_report() -> None:
    assert code_digest("train.fit") != code_digest("bench.record")
    source = "from train.fit import train_approach\n"
    waiting, seen = list(reached(source)), set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            from threadlite.code import _tree

            waiting.extend(imported_modules(_tree(name)))
    assert {"train.loop", "train.trunk", "train.feeds", "train.heads"} <= seen
    assert not {name for name in seen if name.startswith(("bench", "deploy", "threadlite"))}


def test_comments_and_docstrings_do_not_count(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from threadlite import code

    def digest_with(source: str) -> str:
        monkeypatch.setattr(code, "_tree", lambda name: ast.parse(source))
        return code.code_digest.__wrapped__("train.errors")

    plain = digest_with('def f():\n    """One."""\n    return 1\n')
    assert digest_with('def f():\n    """Other."""\n    return 1  # why\n') == plain
    assert digest_with('def f():\n    """One."""\n    return 2\n') != plain
