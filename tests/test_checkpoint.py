"""A checkpoint is read whole or refused in one sentence, and nothing in it can run code."""

import ast
import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import aapt_env
from aapt_env import checkpoint, tensors
from aapt_env.model.policy import Policy
from aapt_env.starts import pack, unpack

GENERATOR, VAE, STARTS = checkpoint.WEIGHTS


@pytest.fixture
def folder(tiny, tmp_path):
    """A checkpoint that a test may spoil."""
    return Path(shutil.copytree(tiny, tmp_path / "world"))


def edit(folder, change):
    """Change config.json as parsed."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def rehash(folder, name):
    """Make config.json agree with a file that was changed: damage that a hash cannot tell."""
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    edit(folder, lambda config: config["files"].__setitem__(name, digest))


def rewrite(folder, name, change):
    """Change a file's tensors, and its hash with them."""
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)
    rehash(folder, name)


def set_in(*keys, value):
    """A change of config.json: config[keys...] = value."""

    def change(config):
        for key in keys[:-1]:
            config = config[key]
        config[keys[-1]] = value

    return lambda folder: edit(folder, change)


def drop(*keys):
    """A change of config.json: del config[keys...]."""

    def change(config):
        for key in keys[:-1]:
            config = config[key]
        del config[keys[-1]]

    return lambda folder: edit(folder, change)


def tensor(name, key, value):
    """A change of one tensor under a hash that fits; None removes it."""

    def change(tensors):
        if value is None:
            del tensors[key]
        else:
            tensors[key] = value(tensors[key]) if callable(value) else value

    return lambda folder: rewrite(folder, name, change)


def truncate(folder):
    path = folder / GENERATOR
    path.write_bytes(path.read_bytes()[:-100])


def flip(folder):
    data = bytearray((folder / VAE).read_bytes())
    data[-1] ^= 1
    (folder / VAE).write_bytes(data)


def not_tensors(folder):
    (folder / GENERATOR).write_bytes(b"\x80\x04 this is a pickle, honestly")
    rehash(folder, GENERATOR)


def poison(value):
    value = value.clone()
    value.view(-1)[3] = float("nan")
    return value


HEAD = "leave.weight"
RAMP = torch.arange(200, dtype=torch.uint8)
BAD = {
    "no folder": (shutil.rmtree, "is no checkpoint: it has no config.json"),
    "no config": (lambda f: (f / "config.json").unlink(), "is no checkpoint: it has no config.json"),
    "empty config": (lambda f: (f / "config.json").write_text(""), "config.json is not JSON"),
    "half a config": (lambda f: (f / "config.json").write_text('{"format": 1,'), "config.json is not JSON"),
    "binary config": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), "config.json is not JSON"),
    "deep config": (lambda f: (f / "config.json").write_text("[" * 100_000), "config.json is not JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "expected an object, got list"),
    "unknown key": (set_in("exec", value="rm"), r"unknown keys \['exec'\].*; get the checkpoint again"),
    "missing key": (drop("spec"), r"missing keys \['spec'\]"),
    "format": (set_in("format", value=99), "format 99; this version of aapt_env reads 1"),
    "spec a list": (set_in("spec", value=[]), "spec: expected an object, got list"),
    "spec key": (set_in("spec", "speed", value=1), r"unknown keys \['speed'\]"),
    "spec k": (set_in("spec", "k", value=3), "expected 1, 2 or 4"),
    "spec size": (set_in("spec", "height", value="64"), "height='64'; expected a whole number"),
    "spec game": (set_in("spec", "game", value=5), "game=5; expected a name"),
    "spec game of a terminal": (set_in("spec", "game", value="a\x1b[31m"), r"game='a.x1b.31m'; expected a name"),
    "spec fps": (set_in("spec", "frame_fps", value=2**63), "expected at most 10,000 frames per second"),
    "scene values": (set_in("spec", "scenes", "time", value=[1, 2]), "scenes=.*; expected texts"),
    "scene without values": (set_in("spec", "scenes", "time", value=[]), "scenes=.*one or more for each"),
    "no scenes": (set_in("spec", "scenes", value=[]), r"spec scenes=\[\]; expected .* get the checkpoint again"),
    "format text": (set_in("format", value="1"), "format '1'; this version of aapt_env reads 1: get"),
    "equal names": (
        set_in("spec", "control", "names", value=["left", "left", "gas", "brake"]), "a different one for each",
    ),
    "control names": (set_in("spec", "control", "names", value=["left"]), "a text for each of 4 elements"),
    "keymap index": (set_in("spec", "control", "keymap", 0, "index", value=9), "keymap index 9; expected 0 to 3"),
    "keymap keys": (set_in("spec", "control", "keymap", 0, "keys", value=[7]), "expected names such as 'left'"),
    "keymap value": (set_in("spec", "control", "keymap", 0, "value", value="x"), "value 'x'; expected a number"),
    "spec control": (set_in("spec", "control", value="keys"), "config.json: "),
    "spec scenes": (set_in("spec", "scenes", value=7), "config.json: "),
    "control kind": (set_in("spec", "control", "kind", value="mind"), "control kind 'mind'"),
    "control without encoder": (set_in("spec", "control", "kind", value="touch"), "no encoder for .* 'touch'"),
    "trunk key": (set_in("trunk", "layers", value=1), r"trunk: unknown keys \['layers'\]"),
    "trunk heads": (set_in("trunk", "heads", value=0), r"sizes {'heads': 0}; expected whole numbers >= 1"),
    "trunk text": (set_in("trunk", "dim", value="32"), r"sizes {'dim': '32'}; expected whole numbers >= 1"),
    "trunk head size": (set_in("trunk", "dim", value=36), "must be a multiple of 8"),
    "trunk endless": (set_in("trunk", "dim", value=1 << 40), "config.json: "),
    "trunk huge": (set_in("trunk", "dim", value=1 << 20), f"{GENERATOR} does not fit the sizes in config.json"),
    "trunk deep": (set_in("trunk", "depth", value=10**9), "1000000000 blocks, more than"),
    "trunk long": (set_in("trunk", "window", value=10**9), "a window of 1000000000 latents; expected at most"),
    "vae huge": (set_in("vae", "decoder", value=[1 << 17, 8]), f"{VAE} does not fit the sizes in config.json"),
    "vae widths": (set_in("vae", "encoder", value=[8, -16]), "expected whole numbers >= 1"),
    "vae k": (set_in("vae", "k", value=3), "k=3; expected 1, 2 or 4"),
    "other grid": (set_in("trunk", "rows", value=16), "the generator's is"),
    "other k": (set_in("vae", "k", value=2), "the VAE's is"),
    "other depth": (set_in("trunk", "depth", value=3), f"{GENERATOR} does not fit the sizes in config.json"),
    "other width": (set_in("trunk", "dim", value=64), f"{GENERATOR} does not fit the sizes in config.json"),
    "files a list": (set_in("files", value=[GENERATOR]), "files must be plain names with a sha256 each"),
    "files a number": (set_in("files", GENERATOR, value=7), "files must be plain names with a sha256 each"),
    "no hash": (drop("files", STARTS), f"no hash for {STARTS}"),
    "training": (set_in("training", value="long"), "training is str, expected an object"),
    "missing weights": (lambda f: (f / VAE).unlink(), f"{VAE} is missing; get the checkpoint again"),
    "truncated": (truncate, f"{GENERATOR} has sha256 .* it is truncated or was changed"),
    "tampered": (flip, f"{VAE} has sha256 .* it is truncated or was changed"),
    "not tensors": (not_tensors, f"{GENERATOR} is not a safetensors file"),
    "missing tensor": (tensor(GENERATOR, HEAD, None), "Missing key"),
    "further tensor": (tensor(GENERATOR, "leave.gain", torch.ones(2)), "Unexpected key"),
    "wrong shape": (tensor(GENERATOR, HEAD, lambda x: x[:-1].clone()), "size mismatch for leave.weight"),
    "not a number": (tensor(GENERATOR, HEAD, poison), "leave.weight has values that are not finite"),
    "whole numbers": (tensor(GENERATOR, HEAD, lambda x: x.int()), "leave.weight is torch.int32, expected floating"),
    "scale not a number": (tensor(VAE, "scale", poison), "scale has values that are not finite"),
    "start that lacks frames": (tensor(STARTS, "002/frames", None), "start 002 is damaged: it lacks frames; get"),
    "no control": (set_in("spec", "control", value=None), "control: expected an object, got NoneType"),
    "rest of words": (set_in("spec", "control", "rest", value=["a"]), "control rest .*expected numbers"),
    "keymap text": (set_in("spec", "control", "keymap", value="abc"), "keymap 'abc'; expected a list"),
    "no starts": (lambda f: rewrite(f, STARTS, dict.clear), f"{STARTS}: there is no start in it"),
    "start not a picture": (tensor(STARTS, "002/frames", RAMP), f"{STARTS}: start 002 is damaged"),
    "start without frames": (tensor(STARTS, "002/frames", torch.empty(0, dtype=torch.uint8)), "its frames are no pict"),
    "start without controls": (tensor(STARTS, "001/controls", None), "start 001 is damaged"),
    "start with few controls": (tensor(STARTS, "001/controls", torch.zeros(5, 4)), "start controls"),
    "start with other controls": (tensor(STARTS, "001/controls", torch.zeros(30, 3)), "start controls"),
    "start about nothing": (tensor(STARTS, "001/about", RAMP), "start 001 is damaged"),
    "start of a list": (tensor(STARTS, "001/about", torch.tensor([91, 93], dtype=torch.uint8)), "start 001 is damaged"),
    "start key": (tensor(STARTS, "extra", torch.zeros(1)), "start extra is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_whatever_is_wrong_is_said_in_one_sentence(folder, name):
    spoil, message = BAD[name]
    spoil(folder)
    with pytest.raises(ValueError, match=message) as caught:
        checkpoint.read(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert type(caught.value) is ValueError and str(folder) in str(caught.value)


@pytest.mark.parametrize(
    "name", ["../vae.safetensors", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "c:x", "a\0"]
)
def test_file_names_cannot_lead_out_of_the_folder(folder, name):
    edit(folder, lambda config: config["files"].__setitem__(name, "0" * 64))
    with pytest.raises(ValueError, match="files must be plain names with a sha256 each"):
        checkpoint.read(folder)


@pytest.mark.parametrize(("space", "k"), [("MultiBinary", 4), ("Discrete", 2), ("Box", 1)])
def test_what_is_saved_is_read(make_checkpoint, tmp_path, space, k):
    first = checkpoint.read(make_checkpoint(tmp_path / "a", space, k))
    checkpoint.save(
        tmp_path / "b", first.spec, first.generator, first.vae, first.starts, first.training
    )
    second = checkpoint.read(tmp_path / "b")
    assert second.spec == first.spec and second.training == first.training
    assert (
        second.generator.config == first.generator.config and second.vae.config == first.vae.config
    )
    for one, other in ((first.generator, second.generator), (first.vae, second.vae)):
        assert not one.training and all(p.dtype == torch.float32 for p in one.parameters())
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key
    for one, other in zip(first.starts, second.starts, strict=True):
        assert (one.seed, one.scene) == (other.seed, other.scene)
        assert np.array_equal(one.controls, other.controls), (
            "a twin steers by these: they must be exact"
        )
        assert one.frames.shape == other.frames.shape == (1 + 4 * k, 64, 64, 3)
        assert np.abs(one.frames.astype(int) - other.frames).mean() < 4
    assert {p.name for p in (tmp_path / "b").iterdir()} == {"config.json", *checkpoint.WEIGHTS}


def test_the_hash_is_of_all_that_is_in_it(folder, make_checkpoint, tmp_path):
    same, other = make_checkpoint(tmp_path / "same"), make_checkpoint(tmp_path / "other", seed=1)
    hashes = [checkpoint.read(place).hash for place in (folder, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert hashes[0] == hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()


def test_a_full_disk_leaves_the_old_checkpoint(folder, monkeypatch):
    """All files are written beside the old ones before any takes its place."""
    loaded = checkpoint.read(folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full(weights, path, about):
        if "starts" in path.name:
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        save_file(weights, path)

    monkeypatch.setattr(tensors, "save_file", full)
    loaded.generator.leave.bias.data += 1
    with pytest.raises(OSError, match="could not be written .*No space left"):
        checkpoint.save(folder, loaded.spec, loaded.generator, loaded.vae, loaded.starts, {})
    assert before == {p.name: p.read_bytes() for p in folder.iterdir()}
    checkpoint.read(folder)


def test_starts_pack_and_unpack(tiny):
    loaded = checkpoint.read(tiny)
    start = dataclasses.replace(
        loaded.starts[0], controls=np.full((40, 4), 1 / 3, np.float32), seed=2**53 + 1
    )
    (again,) = unpack(pack([start]), loaded.spec)
    assert np.array_equal(again.controls, start.controls) and again.seed == start.seed
    keys = dataclasses.replace(start, controls=np.eye(4, dtype=np.float32)[np.arange(40) % 4])
    packed = pack([keys])
    assert packed["000/controls"].nbytes == 160, "a byte for a key"
    assert np.array_equal(unpack(packed, loaded.spec)[0].controls, keys.controls)
    old = pack([start])
    old["000/controls"] = old["000/controls"].half()  # as the first checkpoints had them
    assert unpack(old, loaded.spec)[0].controls.dtype == np.float32


def policy_of(folder, width=8):
    spec = checkpoint.read(folder).spec
    torch.manual_seed(5)
    return Policy(spec.control, spec.k, width), spec


def test_a_policy_is_added_and_read(folder):
    policy, spec = policy_of(folder)
    assert checkpoint.read_policy(folder, spec) is None
    before = checkpoint.read(folder).hash
    checkpoint.save_policy(folder, policy)
    again = checkpoint.read_policy(folder, spec)
    frames = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), np.uint8)
    assert (again.width, again.k) == (8, 4) and not again.training
    assert np.array_equal(again.act(frames), policy.bfloat16().float().act(frames))
    assert again.act(frames[:1]).shape == (4,)
    assert checkpoint.read(folder).hash != before


def test_new_weights_keep_the_policy(folder):
    policy, spec = policy_of(folder)
    checkpoint.save_policy(folder, policy)
    loaded = checkpoint.read(folder)
    checkpoint.save(folder, spec, loaded.generator, loaded.vae, loaded.starts, {})
    assert checkpoint.read_policy(folder, spec) is not None


def test_an_env_hands_the_policy_out(folder):
    from aapt_env.env import AAPTEnv

    checkpoint.save_policy(folder, policy_of(folder)[0])
    env = AAPTEnv(checkpoint=str(folder), device="cpu")
    player, (observation, info) = env.policy(), env.reset(seed=0)
    for _ in range(3):
        action = player(observation, info)
        assert env.action_space.contains(action)
        observation, *_, info = env.step(action)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / checkpoint.POLICY).unlink(), "policy.safetensors is missing"),
        (lambda f: (f / checkpoint.POLICY).write_bytes(b"x"), "policy.safetensors has sha256"),
        (
            tensor(checkpoint.POLICY, "press.bias", poison),
            "press.bias has values that are not finite",
        ),
        (
            tensor(checkpoint.POLICY, "press.bias", None),
            "policy.safetensors does not fit .*Missing key",
        ),
        (
            tensor(checkpoint.POLICY, "layers.0.weight", torch.ones(())),
            "policy.safetensors does not fit",
        ),
    ],
)
def test_a_damaged_policy_is_refused_in_one_sentence(folder, change, message):
    policy, spec = policy_of(folder)
    checkpoint.save_policy(folder, policy)
    change(folder)
    with pytest.raises(ValueError, match=message) as caught:
        checkpoint.read_policy(folder, spec)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=message):
        checkpoint.ship(folder, folder.parent / "shipped")


def test_ship_copies_what_it_has_read(folder, tmp_path):
    checkpoint.save_policy(folder, policy_of(folder)[0])
    (folder / "README.md").write_text("# tiny\n")
    (folder / "notes.txt").write_text("not for others")
    place = checkpoint.ship(folder, tmp_path / "shelf")
    assert place == tmp_path / "shelf" / "tiny"
    names = {"config.json", "README.md", checkpoint.POLICY, *checkpoint.WEIGHTS}
    assert {p.name for p in place.iterdir()} == names
    assert all((place / n).read_bytes() == (folder / n).read_bytes() for n in names)
    assert checkpoint.read(place).hash == checkpoint.read(folder).hash
    assert checkpoint.ship(folder, tmp_path / "shelf") == place, "a second time replaces the first"


def test_ship_leaves_nothing_of_the_world_before(folder, make_checkpoint, tmp_path):
    checkpoint.save_policy(folder, policy_of(folder)[0])
    (folder / "README.md").write_text("# tiny\n")
    checkpoint.ship(folder, tmp_path / "shelf")
    place = checkpoint.ship(make_checkpoint(tmp_path / "bare", seed=1), tmp_path / "shelf")
    assert {p.name for p in place.iterdir()} == {"config.json", *checkpoint.WEIGHTS}


def test_a_full_disk_leaves_the_shipped_world(folder, make_checkpoint, tmp_path, monkeypatch):
    """The old world's config.json once went first."""
    place = checkpoint.ship(folder, tmp_path / "shelf")
    before = {p.name: p.read_bytes() for p in place.iterdir()}

    def full(source, target):
        if "starts" in target.name:
            raise OSError(28, "No space left on device", str(target))
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(checkpoint.shutil, "copyfile", full)
    with pytest.raises(OSError, match="cannot ship to this folder .No space left.*--out"):
        checkpoint.ship(make_checkpoint(tmp_path / "other", seed=1), tmp_path / "shelf")
    assert {p.name: p.read_bytes() for p in place.iterdir()} == before
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="cannot ship to this folder"):
        checkpoint.ship(folder, tmp_path / "file")


def test_ship_names_the_folder_after_the_game(folder, tmp_path):
    loaded = checkpoint.read(folder)
    spec = dataclasses.replace(loaded.spec, game="gym:ALE/Pong-v5")
    checkpoint.save(folder, spec, loaded.generator, loaded.vae, loaded.starts, {})
    assert checkpoint.ship(folder, tmp_path / "shelf").name == "gym-ALE-Pong-v5"


def test_ship_refuses_what_is_damaged_or_there_already(folder, tmp_path):
    place = checkpoint.ship(folder, tmp_path / "shelf")
    with pytest.raises(ValueError, match="lies in .* already; give the folder of a training"):
        checkpoint.ship(place, tmp_path / "shelf")
    flip(folder)
    with pytest.raises(ValueError, match="truncated or was changed"):
        checkpoint.ship(folder, tmp_path / "shelf")
    checkpoint.read(place)


def test_nothing_of_ours_reads_a_pickle():
    """By the imports and calls of every file: pickle and its kin, and torch.load, which unpickles."""
    banned = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    found = []
    for path in sorted(Path(aapt_env.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").split(".")[0]]
                if node.module == "torch":
                    names += [f"torch.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Attribute):
                names = [ast.unparse(node)]
            elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                names = [f"allow_pickle={ast.unparse(node.value)}"]
            bad = banned | {"torch.load", "torch.save", "allow_pickle=True"}
            found += [f"{path.name}:{node.lineno} {name}" for name in names if name in bad]
    assert found == []


def test_sizes_that_the_weights_have_room_for_are_built_without_the_compiler(tiny):
    """The meta device loads torch's compiler: only sizes that could take memory are checked there."""
    from aapt_env import sizes

    config, _ = checkpoint.read_config(tiny)
    files = [checkpoint.read_tensors(tiny, n, config.files[n]) for n in checkpoint.WEIGHTS[:2]]
    assert sizes.room_for(config, *files)
    for part, changes in (
        ("trunk", {"dim": 4096}),
        ("trunk", {"depth": 10**6}),
        ("trunk", {"rows": 10**6}),
        ("trunk", {"dim": "wide"}),
        ("vae", {"decoder": [8, 10**5]}),
        ("vae", {"patch": 4096}),
    ):
        large = dataclasses.replace(config, **{part: {**getattr(config, part), **changes}})
        assert not sizes.room_for(large, *files), (part, changes)
