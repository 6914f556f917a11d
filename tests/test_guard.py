"""A stranger's code fails in one sentence, and what is not its failure passes."""

import pickle

import pytest

from aapt_env.entries import NoEntry, load_entry
from aapt_env.guard import Failed, guarded, told


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("no\n  gpu"),
            "it failed in step 3: RuntimeError: no gpu; expected more; AAPT",
        ),
        (KeyError("road"), "it failed in step 3: KeyError: 'road'; expected more"),
        (ValueError("7 is odd"), "it failed in step 3: 7 is odd; expected more"),
        (AssertionError(), "it failed in step 3: AssertionError; expected more"),
        (SystemExit(0), "it failed in step 3: SystemExit: 0; expected more"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_is_raised_is_one_sentence(error, said):
    with pytest.raises(Failed) as caught, guarded("it", "in step 3", "expected more"):
        raise error
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)
    assert caught.value.__cause__ is error, "AAPT_DEBUG shows where"


def test_ctrl_c_and_sentences_pass_as_they_are():
    for error in (KeyboardInterrupt("SIGTERM"), Failed("inner failed"), OSError("disk")):
        with pytest.raises(type(error)) as caught, guarded("it", passing=(OSError,)):
            raise error
        assert caught.value is error


def test_workers_hand_a_failure_to_the_parent():
    back = pickle.loads(pickle.dumps(Failed("it failed")))
    assert isinstance(back, Failed) and str(back) == "it failed" == told(back)


MODULES = {
    "loud_entry": "raise RuntimeError('no licence')",
    "leaving_entry": "import sys\nsys.exit(0)",
    "lacking_entry": "import no_such_dependency",
    "wrong_entry": "import os\nos.nothing_like_it",
}


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("loud_entry", "RuntimeError: no licence"),
        ("leaving_entry", "SystemExit: 0"),
        ("lacking_entry", "ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("wrong_entry", "AttributeError: module 'os' has no attribute 'nothing_like_it'"),
    ],
)
def test_a_module_that_fails_when_it_is_imported_is_named(tmp_path, monkeypatch, module, said):
    (tmp_path / f"{module}.py").write_text(MODULES[module])
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Failed, match=f"'{module}:make' failed when it was imported: {said}"):
        load_entry(f"{module}:make")


@pytest.mark.parametrize("entry", ["os", "os:", ":getcwd", ".os:getcwd", None, 3])
def test_entries_of_another_form(entry):
    with pytest.raises(NoEntry, match="expected 'module:name'"):
        load_entry(entry)
