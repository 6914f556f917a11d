"""Keys have the names that a window gives them, and a keymap has one form."""

import numpy as np
import pytest

from aapt_env.binding import KEYS, KeyBinding, bindings_of, keys_of


def test_keys_are_those_of_pygame():
    """Those two come from SDL itself, and other versions of it have none of them."""
    pygame = pytest.importorskip("pygame")
    codes = [getattr(pygame, name) for name in dir(pygame) if name.startswith("K_")]
    names = {pygame.key.name(code) for code in codes}
    assert names - {"", "+", "AC Back", "CurrencySubUnit"} == KEYS


def test_keys_as_they_are_written():
    assert keys_of("left") == ("left",) and keys_of("idle") == ()
    assert keys_of("space + left") == ("left", "space") == keys_of("left+space")
    assert keys_of("left+[+]") == ("[+]", "left") and keys_of("left shift") == ("left shift",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("blorp", "^there is no key 'blorp'; known are a to z.*left shift.*equals"),
        ("Left", "there is no key 'Left'; expected 'left'"),
        ("left+A", r"there is no key 'A' in 'left\+A'; expected 'a'"),
        ("left+idle", "there is no key 'idle'"),
        ("lshift", "there is no key 'lshift'"),
        ("+", r"there is no key '\+'"),
        ("", "there is no key ''"),
    ],
)
def test_keys_that_there_are_not(text, said):
    with pytest.raises(ValueError, match=said):
        keys_of(text)


def test_a_games_keymap():
    made = bindings_of([(("left",), 0, 1.0), [["a", "d"], np.int64(1), np.float32(-0.5)]])
    assert made[1] == KeyBinding(keys=("a", "d"), index=1, value=-0.5) and len(made) == 2
    assert bindings_of(()) == ()


@pytest.mark.parametrize(
    ("keymap", "said"),
    [
        ({"left": 0}, r"keymap is \{'left': 0\}; expected a list of \(keys, index, value\)"),
        (5, "keymap is 5; expected a list"),
        ("left", "keymap is 'left'; expected a list"),
        ([("left", 0)], r"keymap has \('left', 0\); expected a list"),
        (["abc"], "keymap has 'abc'; expected a list"),
        ([("left", 0, 1.0)], "keys 'left'; expected names such as 'left', in a list"),
        ([(3, 0, 1.0)], "keys 3; expected names such as 'left', in a list"),
        ([((3,), 0, 1.0)], r"keys \(3,\); expected names such as 'left', in a list"),
        ([(("left",), 0, float("nan"))], "value nan; expected a number that is finite"),
        ([(("left",), 0, None)], "value None; expected a number that is finite"),
    ],
)
def test_keymaps_of_another_form(keymap, said):
    with pytest.raises(ValueError, match=said):
        bindings_of(keymap)
