from pathlib import Path

import pytest

from optimize.distill import DistillConfig
from threadlite.plan import read_plan, with_weights
from train.approaches import APPROACHES
from train.errors import ConfigError, UsageError

PLANS = Path(__file__).resolve().parents[2] / "plans"
BASE = """
name = "mine"
title = "Mine"
[data]
source = "garments"
[[approaches]]
name = "custom-cnn"
"""


def plan_file(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", sorted(path.stem for path in PLANS.glob("*.toml")))
def test_plans_of_the_house_are_good(name: str) -> None:
    plan = read_plan(PLANS / f"{name}.toml")
    assert plan.name == name
    assert [chain.names for chain in plan.optimize.chains] == [
        tuple(text.split("+")) for text in plan.optimize.techniques
    ]


def test_what_a_plan_leaves_out_has_defaults(tmp_path: Path) -> None:
    plan = read_plan(plan_file(tmp_path, BASE))
    assert plan.data.splits == ("grouped",)
    assert plan.optimize.techniques == ("int8",)
    assert plan.approaches[0].resolve() == APPROACHES["custom-cnn"]


@pytest.mark.parametrize(
    ("keys", "sizes"),
    [
        ("epochs = 3", (112, 128, 144)),
        ("image_size = 160", (112, 128, 144)),
        ("image_size = 96", ()),
        ("image_size = 96\ntrain_sizes = [64, 96]", (64, 96)),
        ("train_sizes = [64, 96]\nimage_size = 96", (64, 96)),
        ("train_sizes = []", ()),
    ],
)
def test_sizes_of_views_do_not_outlive_the_size_they_were_chosen_for(
    tmp_path: Path, keys: str, sizes: tuple[int, ...]
) -> None:
    plan = read_plan(plan_file(tmp_path, f"{BASE}[approaches.recipe]\n{keys}\n"))
    assert plan.approaches[0].resolve().recipe.train_sizes == sizes


def test_recipe_keys_are_overridden_one_by_one(tmp_path: Path) -> None:
    text = BASE + "[approaches.recipe]\nepochs = 3\naugment = {flip = false}\n"
    recipe = read_plan(plan_file(tmp_path, text)).approaches[0].resolve().recipe
    usual = APPROACHES["custom-cnn"].recipe
    assert recipe.epochs == 3
    assert recipe.augment.flip is False
    assert recipe.augment.min_area == usual.augment.min_area
    assert recipe.learning_rate == usual.learning_rate


def test_one_approach_is_trained_in_several_ways_by_label(tmp_path: Path) -> None:
    text = BASE + "[[approaches]]\nname = 'custom-cnn'\nlabel = 'no-flip'\n"
    plain, labelled = read_plan(plan_file(tmp_path, text)).approaches
    assert (plain.called, labelled.called) == ("custom-cnn", "no-flip")
    assert labelled.resolve() == plain.resolve()


def test_splits_and_folds_of_an_approach(tmp_path: Path) -> None:
    own = "splits = ['grouped']\ncrossval = ['stratified', 'grouped']\n"
    text = BASE.replace("[data]", "[data]\nsplits = ['grouped', 'stratified']") + own
    plan = read_plan(plan_file(tmp_path, "folds = 3\n" + text))
    assert plan.approaches[0].splits == ("grouped",)
    assert plan.approaches[0].crossval == ("stratified", "grouped")
    assert plan.folds == 3
    usual = read_plan(plan_file(tmp_path, BASE))
    assert (usual.approaches[0].splits, usual.approaches[0].crossval) == (None, ())
    assert usual.folds == 5
    alone = read_plan(plan_file(tmp_path, BASE + "splits = []\ncrossval = ['grouped']\n"))
    assert alone.approaches[0].splits == ()  # cross-validated, and not trained besides


STUDENT = BASE + "[[approaches]]\nname = 'custom-cnn'\nteachers = ['custom-cnn']\n"


def test_a_student_learns_from_approaches_before_it(tmp_path: Path) -> None:
    text = STUDENT + "distill = { share = 0.5 }\n"
    student = read_plan(plan_file(tmp_path, text)).approaches[1]
    assert student.called == "custom-cnn-distilled"
    assert (student.lesson().share, student.lesson().views) == (0.5, DistillConfig().views)
    refitted = read_plan(plan_file(tmp_path, STUDENT + "refit = true\n")).approaches[1]
    assert refitted.called == "custom-cnn-distilled-refit"


def test_weights_are_named_by_approach_or_label(tmp_path: Path) -> None:
    text = BASE + "[[approaches]]\nname = 'custom-cnn'\nlabel = 'other'\n"
    plan = read_plan(plan_file(tmp_path, text))
    assert [a.weights for a in with_weights(plan, ["other=w.npz"]).approaches] == ["auto", "w.npz"]
    assert with_weights(plan, []) == plan
    for word in ("other", "other=", "third=w.npz"):
        with pytest.raises(UsageError, match=r"must read APPROACH=WEIGHTS, .*: custom-cnn, other"):
            with_weights(plan, [word])


def test_techniques_are_chained_with_settings_of_each(tmp_path: Path) -> None:
    text = "[optimize]\ntechniques = ['shrink+int8', 'cluster', 'int8']\n"
    text += "[optimize.settings.shrink]\nmaccs = 0.4\n"
    optimize = read_plan(plan_file(tmp_path, BASE + text)).optimize
    assert [chain.names for chain in optimize.chains] == [
        ("shrink", "int8"),
        ("cluster",),
        ("int8",),
    ]
    assert optimize.config_of("shrink").maccs == 0.4


def test_a_technique_with_a_value_has_the_settings_of_its_name_and_its_own(tmp_path: Path) -> None:
    text = "[optimize]\ntechniques = ['shrink+int8', 'shrink@30', 'shrink@20']\n"
    text += "[optimize.settings.shrink]\nepochs = 4\nmaccs = 0.5\n"
    text += "[optimize.settings.'shrink@20']\nepochs = 6\n"
    optimize = read_plan(plan_file(tmp_path, BASE + text)).optimize
    found = [optimize.config_of(name) for name in ("shrink", "shrink@30", "shrink@20")]
    assert [(one.share, one.epochs) for one in found] == [(0.5, 4), (0.3, 4), (0.2, 6)]


def test_an_approach_may_have_techniques_of_its_own(tmp_path: Path) -> None:
    text = "techniques = ['prune+int8']\n[[approaches]]\nname = 'mobilenet-v2'\n"
    text += "[[approaches]]\nname = 'lite-trio'\ntechniques = []\n"
    plan = read_plan(plan_file(tmp_path, BASE + text + "[optimize]\ntechniques = ['cluster']\n"))
    names = [[chain.names for chain in plan.chains_of(one)] for one in plan.approaches]
    assert names == [[("prune", "int8")], [("cluster",)], []]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BASE.replace("title", "titel"), "titel: no such key"),
        (BASE + "[benhc]\nrounds = 3\n", "benhc: no such key"),
        (BASE + "[bench]\nrewrites = 8\n", "rewrites is a size of 32 or more, or 0, got 8"),
        (BASE + "[bench]\nround = 3\n", r"bench\.round: no such key"),
        (BASE.replace("custom-cnn", "custom-cmm"), "'custom-cmm' is not known; choose from"),
        (BASE + "[optimize]\ntechniques = ['int4']\n", "technique 'int4' is not one of .*int8"),
        (BASE + "[optimize]\ntechniques = ['int8+shrink']\n", "int8 writes a file, .* put it last"),
        (BASE + "[optimize]\ntechniques = ['prune', 'prune']\n", "named twice: prune, prune"),
        (BASE + "techniques = ['int4']\n", "technique 'int4' is not one of .*int8"),
        (BASE + "techniques = ['prune', 'prune']\n", "named twice: prune, prune"),
        (BASE + "[optimize.settings.int4]\n", "'int4' is not known; choose from"),
        (BASE + "[optimize.settings.'int8@4']\n", "'int8@4': a value is given as in"),
        (BASE + "[optimize.settings.int8]\ncalibrate = 1\n", "int8 has no setting 'calibrate'"),
        (BASE + "[bench]\nruntimes = ['coreml']\n", "'coreml' is not known; choose from litert"),
        (BASE + "[bench]\nruntimes = ['tensorflow']\n", "choose from litert, onnxruntime"),
        (BASE + "[approaches.recipe]\nepoch = 3\n", "epoch"),
        (BASE + "[approaches.recipe]\nepochs = 0\n", "approaches.0: epochs = 0 trains nothing;"),
        (BASE + "[approaches.recipe.augment]\nmax_aspect = inf\n", "should be a finite number"),
        (BASE + "[approaches.recipe]\nlearning_rate = nan\n", "learning_rate"),
        (BASE + "[deploy]\nformats = ['onnx', 'onnx']\n", "named twice: onnx, onnx"),
        (BASE + "[bench]\nruntimes = ['litert', 'litert']\n", "named twice"),
        (BASE.replace("[data]", "[data]\nsplits = ['grouped', 'grouped']"), "named twice"),
        (BASE + "[[approaches]]\nname = 'custom-cnn'\n", "named twice"),
        (BASE + "label = 'a'\n[[approaches]]\nname = 'custom-cnn'\nlabel = 'a'\n", "named twice"),
        (BASE + "[[approaches]]\nname = 'custom-cnn'\nlabel = 'custom-cnn'\n", "named twice"),
        (BASE + "label = '../a'\n", "label: "),
        (BASE + "splits = ['grouped', 'grouped']\n", "named twice"),
        (BASE + "crossval = ['grouped', 'grouped']\n", "named twice"),
        (STUDENT + "distill = { heat = 2.0 }\n", "distill has no setting 'heat'"),
        (STUDENT + "distill = { share = 3.0 }\n", r"share must be in \(0, 1\]"),
        (STUDENT + "crossval = ['grouped']\n", "a student is not cross-validated"),
        (BASE + "distill = { share = 0.5 }\n", "teachers names none"),
        (BASE + "teachers = ['custom-cnn']\n", "none of those before it .there are none"),
        (
            STUDENT.replace('name = "custom-cnn"', 'name = "custom-cnn"\nsplits = []'),
            "its teacher 'custom-cnn' does not; both need the same splits",
        ),
        (BASE + "crossval = ['random']\n", r"crossval\.0: "),
        (BASE + "[goals]\nunder_ms = 0\n", r"goals\.under_ms: "),
        (BASE + "splits = ['stratified']\n", r"which is not in data\.splits \(grouped\)"),
        ("folds = 1\n" + BASE, "folds: "),
        (BASE.replace('"mine"', '"../mine"'), "name: "),
        (BASE.replace('"garments"', "3"), r"data\.source: "),
        ("schema_version = 2\n" + BASE, "schema_version: "),
        ("not toml", "is not TOML"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        read_plan(plan_file(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_missing_plan_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_plan(tmp_path / "ghost.toml")
