"""Everything a recipe names is found before anything runs, or refused with its line."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from tests.gates.scene import OPERATOR, labelled
from tests.gates.tally import spec
from tests.stacks.scene import BASE_RECIPE, RECIPE, Workshop

from dizuo.artifacts.model import Level
from dizuo.datasets.adding import add_version
from dizuo.datasets.model import Candidate, Draft
from dizuo.stacks import resolve as resolving
from dizuo.stacks import service
from dizuo.stacks.errors import RecipeProblem, RecipeRefused
from dizuo.stacks.model import DatasetUse, ResolvedRecipe
from dizuo.stacks.recipe import parse_recipe

ROWS = labelled(240)
REPLAY = "words@1\n  replay: {dataset: letters@1, share: 0.2}\n"


@pytest.fixture(scope="module")
def stocked(library: Workshop) -> Workshop:
    """Datasets without overlaps, a base, and some things that do not fit."""
    for index, name in enumerate(["words", "words-test", "letters", "letters-test"]):
        library.dataset(name, ROWS[index * 50 : index * 50 + 50])
    copied = [ROWS[3], ROWS[4], {"text": ROWS[5]["text"][::-1], "label": "a"}, *ROWS[200:210]]
    library.dataset("leaky-test", copied)
    library.dataset("near-test", [{"text": ROWS[5]["text"][::-1], "label": "a"}, *ROWS[200:205]])
    library.dataset("recalled-test", [ROWS[100], *ROWS[210:215]])
    add_picture(library)
    base = library.build("run-base", name="alphabet")
    library.build("run-narrow", name="narrow", targets=("safetensors",))
    library.build("run-shipped", name="shipped", targets=("table",))
    library.build("run-pixels", name="pixels", family="vision")
    library.build("run-upper", name="upper", parent=base, level=Level.L2)
    return library


def add_picture(library: Workshop) -> None:
    stream = io.BytesIO()
    Image.new("L", (8, 8), 7).save(stream, "PNG")
    row = {"image": stream.getvalue(), "label": "7"}
    draft = Draft(name="pictures", family="vision", origin="test:pictures")
    add_version(library.warehouse, draft, [Candidate("1.png", row)], OPERATOR)


def resolve(workshop: Workshop, text: str) -> ResolvedRecipe:
    with workshop.database.reading() as session:
        return service.resolve(session, parse_recipe(text, "reader.yaml"))


def problems_of(workshop: Workshop, text: str) -> tuple[RecipeProblem, ...]:
    with pytest.raises(RecipeRefused) as refused:
        resolve(workshop, text)
    return refused.value.problems


def changed(old: str, new: str, text: str = RECIPE) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_all_names_are_found(stocked: Workshop) -> None:
    found = resolve(stocked, changed("words@1\n", REPLAY))
    assert found.parent is not None
    assert found.parent.ref == "alphabet:1"
    assert (found.train.ref, found.train.num_rows) == ("words@1", 50)
    assert found.replay is not None
    assert found.replay.ref == "letters@1"
    assert set(found.suites) == {"words-test@1", "letters-test@1"}
    assert [(one.use, one.ref) for one in found.used_datasets] == [
        (DatasetUse.TRAIN, "words@1"),
        (DatasetUse.REPLAY, "letters@1"),
    ]


def test_a_base_has_no_parent(stocked: Workshop) -> None:
    found = resolve(stocked, BASE_RECIPE)
    assert (found.parent, found.suites, len(found.used_datasets)) == (None, {}, 1)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("alphabet:1", "nothing:1", 5, "There is no stack nothing:1."),
        ("alphabet:1", "alphabet:9", 5, "There is no stack alphabet:9."),
        ("alphabet:1", "other/alphabet:1", 5, "There is no stack other/alphabet:1."),
        ("alphabet:1", "pixels:1", 5, "pixels:1 is of the family vision, not tally."),
        ("alphabet:1", "upper:1", 5, "An L1 stack cannot stand on upper:1, which is L2."),
        ("alphabet:1", "shipped:1", 5, "shipped:1 has no target safetensors"),
        ("alphabet:1", "narrow:1", 15, "narrow:1 has no target table."),
        ("words@1", "wrods@1", 7, "There is no dataset 'wrods'."),
        ("words@1", "words@4", 7, "The dataset words has no version 4."),
        ("words@1", "pictures@1", 7, "The dataset pictures@1 is of the family vision."),
        ("words@1\n", "words@1\n  replay: {dataset: gone@1, share: 0.1}\n", 8, "no dataset 'gone'"),
        ("letters-test@1", "letters-test@2", 13, "The dataset letters-test has no version 2."),
        ("name: reader", "name: upper", 3, "upper:1 is L2; a name keeps its level."),
        ("name: reader", "name: pixels", 4, "pixels:1 is of the family vision; a name keeps"),
        (
            "letters-test@1",
            "leaky-test@1",
            13,
            "The suite leaky-test@1 holds 2 rows of words@1 and 1 near duplicate; its scores would"
            " not be honest.",
        ),
        (
            "letters-test@1",
            "near-test@1",
            13,
            "The suite near-test@1 holds 1 near duplicate of rows of words@1; its scores",
        ),
        (
            "words@1\n",
            "words@1\n  replay: {dataset: recalled-test@1, share: 0.1}\n",
            14,
            "The suite letters-test@1 holds",
        ),
    ],
)
def test_what_a_recipe_names_must_be_there_and_fit(
    stocked: Workshop, old: str, new: str, line: int, message: str
) -> None:
    text = changed(old, new)
    if "recalled" in new:
        text = changed("letters-test@1", "letters@1", text)
        message = message.replace("letters-test@1", "letters@1")
    found = [(problem.line, problem.message) for problem in problems_of(stocked, text)]
    assert any(at == line and message in said for at, said in found), found


def test_every_problem_is_told(stocked: Workshop) -> None:
    text = RECIPE
    for old, new in [
        ("alphabet:1", "nothing:1"),
        ("words@1", "wrods@1"),
        ("letters-test@1", "gone-test@1"),
    ]:
        text = changed(old, new, text)
    assert [problem.line for problem in problems_of(stocked, text)] == [5, 7, 13]


def test_two_gates_on_one_suite_are_one_problem(stocked: Workshop) -> None:
    text = RECIPE.replace("words-test@1", "leaky-test@1")
    assert [problem.line for problem in problems_of(stocked, text)] == [11]


def test_a_suite_that_cannot_be_read_is_a_problem_of_its_line(
    stocked: Workshop, workshop: Workshop
) -> None:
    workshop.dataset("words", ROWS[:50])
    suite = workshop.dataset("words-test", ROWS[50:100])
    workshop.dataset("letters-test", ROWS[100:150])
    workshop.build("run-base", name="alphabet")
    for file in (workshop.root / "datasets").rglob("words-test.lance/data/*"):
        file.write_bytes(b"garbage")
    (problem,) = problems_of(workshop, RECIPE)
    assert (problem.line, problem.message) == (11, f"The data of {suite.ref} cannot be read.")


SAME = [
    ("# What sites read with.", "# Something else."),
    ("description: Reads words.", "description: Reads many words."),
    ("method: {kind: memorise}", "method:\n  kind: memorise"),
    ("name: reader\nlevel: L1\n", "level: L1\nname: reader\n"),
]
OTHER = [
    ("name: reader", "name: reader2"),
    ("train: words@1", "train: letters@1"),
    ("words@1\n", REPLAY),
    ("kind: memorise", "kind: memorise, epochs: 3"),
    ("kind: read", "kind: write"),
    ("targets: [safetensors, table]", "targets: [table, safetensors]"),
    ("seed: 7", "seed: 8"),
    ("at_least: 0.9", "at_least: 0.95"),
]


@pytest.mark.parametrize(("old", "new"), SAME)
def test_what_changes_nothing_built_is_the_same_input(
    stocked: Workshop, old: str, new: str
) -> None:
    one, other = resolve(stocked, RECIPE), resolve(stocked, changed(old, new))
    assert one.input_digest == other.input_digest


@pytest.mark.parametrize(("old", "new"), OTHER)
def test_what_changes_the_stack_is_another_input(stocked: Workshop, old: str, new: str) -> None:
    one, other = resolve(stocked, RECIPE), resolve(stocked, changed(old, new))
    assert one.input_digest != other.input_digest


def test_a_share_a_parent_and_the_family_code_are_inputs(
    stocked: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_replay = changed("words@1\n", REPLAY)
    digests = {resolve(stocked, RECIPE).input_digest, resolve(stocked, with_replay).input_digest}
    digests.add(resolve(stocked, changed("0.2", "0.3", with_replay)).input_digest)
    stocked.build("run-base-2", name="alphabet")
    digests.add(resolve(stocked, changed("alphabet:1", "alphabet:2")).input_digest)
    monkeypatch.setattr(spec, "CODE_VERSION", spec.CODE_VERSION + 1)
    digests.add(resolve(stocked, RECIPE).input_digest)
    assert len(digests) == 5


def test_the_same_pins_are_compared_once(stocked: Workshop) -> None:
    resolving._overlap.cache_clear()
    resolve(stocked, RECIPE)
    resolve(stocked, changed("at_least: 0.9", "at_least: 0.8"))
    compared = resolving._overlap.cache_info()
    assert (compared.misses, compared.hits) == (2, 2)  # one train set, two suites


def test_a_recipe_names_stacks_of_the_project_that_it_runs_in(stocked: Workshop) -> None:
    stocked.build("run-guest", name="alphabet", project_id="guests")
    for written, missing in (
        ("alphabet:1", ""),
        ("guests/alphabet:1", ""),
        ("default/alphabet:1", "alphabet:1"),
    ):
        recipe = parse_recipe(changed("alphabet:1", written), project_id="guests")
        with stocked.database.reading() as session, pytest.raises(RecipeRefused) as refused:
            service.resolve(session, recipe, project_id="guests")  # it has no dataset
        found = [one.message for one in refused.value.problems if one.path == ("from",)]
        assert found == ([f"There is no stack {missing}."] if missing else [])
