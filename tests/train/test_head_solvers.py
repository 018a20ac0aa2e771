import numpy as np
import numpy.typing as npt
import pytest

from train.head_solvers import SOLVERS, Samples, Settings, grid_of

Points = npt.NDArray[np.float32]


def samples_of(points: Points, truths: list[int], *, classes: int = 2, folds: int = 1) -> Samples:
    numbers = np.arange(len(points))
    return Samples(
        features=points,
        truths=np.array(truths),
        folds=numbers % folds,
        first=numbers,
        classes=classes,
        seed=0,
    )


def checkers(count: int, seed: int) -> tuple[Points, list[int]]:
    """Two classes that no line parts: the sign of a product."""
    points = np.random.default_rng(seed).uniform(-1.0, 1.0, (count, 2)).astype(np.float32)
    return points, (points.prod(axis=1) > 0).astype(int).tolist()


def test_logistic_kernel_of_two_points_worked_by_hand() -> None:
    points = np.array([[4.0], [8.0]], dtype=np.float32)  # mean 6, deviation 2: at -1 and 1
    (layers,) = SOLVERS["logistic"](samples_of(points, [0, 1]))(None, [{"c": 1.0}])
    # Minimize w^2 / 2 + 2 log(1 + exp(-w)): w = 2 / (1 + exp(w)), so w = 0.6748. The solver stops
    # where the slope, over 2 samples, is below 1e-3, and the curvature is at least 1 / 2.
    slope = 0.6748 / 2.0  # per unit of the feature as it came
    np.testing.assert_allclose(layers.kernel, [[-slope / 2, slope / 2]], atol=2e-3 / 4)
    np.testing.assert_allclose(layers.scores(np.array([[6.0]], np.float32)), [[0, 0]], atol=1e-3)


def test_hidden_layer_parts_what_no_line_does() -> None:
    points, truths = checkers(600, seed=0)
    fresh, answers = checkers(600, seed=1)
    samples = samples_of(points, truths)
    (curved,) = SOLVERS["mlp"](samples)(None, [{"units": 32, "decay": 0.01}])
    (straight,) = SOLVERS["logistic"](samples)(None, [{"c": 1.0}])
    hits = [
        (layers.scores(fresh).argmax(axis=1) == answers).mean() for layers in (curved, straight)
    ]
    assert hits[0] > 0.9
    assert hits[1] < 0.7
    assert curved.hidden is not None
    assert curved.hidden[0].shape == (2, 32)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("lda", {"shrinkage": 0.1}),
        ("logistic", {"c": 1.0}),
        ("mlp", {"units": 8, "decay": 0.1}),
    ],
)
def test_shift_and_scale_of_the_features_change_nothing(kind: str, settings: Settings) -> None:
    generator = np.random.default_rng(0)
    truths = [number % 3 for number in range(90)]
    points = generator.normal(0.0, 1.0, (90, 5)) + np.eye(3, 5)[truths]
    solve = SOLVERS[kind]  # type: ignore[index]
    plain, moved = points.astype(np.float32), (4.0 * points + 3.0).astype(np.float32)
    (one,) = solve(samples_of(plain, truths, classes=3))(None, [settings])
    (other,) = solve(samples_of(moved, truths, classes=3))(None, [settings])
    # Rounding the moved points to float32 shifts them by 1e-6; iterations carry that on.
    np.testing.assert_allclose(one.scores(plain), other.scores(moved), atol=2e-3)


@pytest.mark.parametrize("kind", ["lda", "logistic", "mlp"])
def test_fold_is_left_out_and_a_class_that_is_only_there_never_wins(kind: str) -> None:
    generator = np.random.default_rng(0)
    points = generator.normal(0.0, 1.0, (40, 3)).astype(np.float32)
    truths = [2 if number % 2 else number // 2 % 2 for number in range(40)]
    solve = SOLVERS[kind]  # type: ignore[index]
    samples = samples_of(points, truths, classes=3, folds=2)  # every photo of class 2 is in fold 1
    grid = grid_of(kind, (0.5,))[:1]  # type: ignore[arg-type]
    (layers,) = solve(samples)(1, grid)
    assert 2 not in layers.scores(points).argmax(axis=1)
    (alone,) = solve(samples)(0, grid)  # one class is left
    assert (alone.scores(points).argmax(axis=1) == 2).all()


def test_plain_views_are_kept_where_views_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    import train.head_solvers as module

    monkeypatch.setattr(module, "_MOST_ROWS", 6)
    first = np.array([0, 3, 6, 9])
    features = np.arange(12, dtype=np.float32)[:, None]
    samples = Samples(
        features=features,
        truths=np.repeat([0, 1, 0, 1], 3),
        folds=np.zeros(12, dtype=np.int64),
        first=first,
        classes=2,
        seed=0,
    )
    part = module._part(samples, None)
    kept = (part.features[:, 0] * part.deviation + part.mean[0]).round().astype(int)
    assert len(kept) == 6
    assert set(first.tolist()) <= set(kept.tolist())
