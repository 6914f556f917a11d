"""The arrows of the design, read from the import statements: who may know whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = 0.05  # seconds that `import aapt_env` may take beyond gymnasium's own


def files(*places):
    """The Python files of modules and packages given as paths without .py; those not there are left out."""
    for place in places:
        path = ROOT / place
        yield from (
            sorted(path.rglob("*.py"))
            if path.is_dir()
            else filter(Path.exists, [path.with_suffix(".py")])
        )


def package_of(path):
    """Dotted name of the package that a file's relative imports start from."""
    parts = path.relative_to(
        ROOT / "games" if "games" in path.relative_to(ROOT).parts[:1] else ROOT
    ).parts
    return ".".join(parts[:-1])


def imports(path, *, at_import):
    """Dotted names that a file imports; with `at_import`, only those that run when it is imported."""
    found, queue = set(), [ast.parse(path.read_text(), str(path))]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package_of(path).split(".")[: -node.level + 1 or None] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            queue.extend(node.orelse)
            continue
        queue.extend(ast.iter_child_nodes(node))
    return found


def offenders(places, forbidden, *, at_import=False):
    """`file imports name` for every import of `forbidden` (or of what lies under it) in `places`."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(*places)
        for name in sorted(imports(path, at_import=at_import))
        for ban in forbidden
        if name == ban or name.startswith(ban + ".")
    ]


@pytest.mark.parametrize(
    ("places", "forbidden"),
    [
        (["games/aapt_games"], ["torch", "aapt_env"]),
        (
            ["aapt_env/strict", "aapt_env/spec", "aapt_env/controls", "aapt_env/model"],
            [
                "aapt_env.data",
                "aapt_env.checkpoint",
                "aapt_env.train",
                "aapt_env.world",
                "aapt_env.env",
            ],
        ),
        (
            ["aapt_env/data", "aapt_env/tensors", "aapt_env/checkpoint"],
            ["aapt_env.train", "aapt_env.world", "aapt_env.play", "aapt_env.cli"],
        ),
        (["aapt_env/train"], ["aapt_env.world", "aapt_env.env", "aapt_env.play"]),
        (["aapt_env/fast"], ["aapt_env.train", "aapt_env.world", "aapt_env.env", "aapt_env.play"]),
        (["aapt_env/world"], ["aapt_env.train", "aapt_env.env", "aapt_env.play"]),
        (["aapt_env/env"], ["aapt_env.train", "aapt_env.play"]),
    ],
    ids=lambda names: " ".join(name.rpartition("/")[2] for name in names),
)
def test_arrows_only_run_down(places, forbidden):
    assert offenders(places, forbidden) == []


def test_play_knows_neither_world_nor_torch_when_imported():
    forbidden = ["torch", "aapt_env.train", "aapt_env.world"]
    assert offenders(["aapt_env/play"], forbidden, at_import=True) == []


@pytest.mark.parametrize("module", ["aapt_env", "aapt_env.cli", "aapt_env.paths", "aapt_env.spec"])
def test_the_shell_loads_no_heavy_library(module):
    code = f"import sys, {module}; print(*sorted({{'torch', 'pygame', 'cv2', 'av'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def loaded_by(code, *names):
    """Which of `names` are loaded after `code` has run in a fresh Python."""
    end = f"import sys; print('loaded:', *sorted({set(names)!r} & set(sys.modules)))"
    command = [sys.executable, "-c", f"{code}\n{end}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return done.stdout.splitlines()[-1].removeprefix("loaded:").split()


def test_a_window_opens_before_torch_and_without_the_video_library():
    assert loaded_by("import aapt_env.play", "torch", "av", "scipy", "pandas", "tensorboard") == []


def test_a_dream_needs_neither_the_compiler_nor_what_trains(tiny):
    """Shapes checked on the meta device drew weights there, which loaded 4 seconds of torch._dynamo and sympy."""
    code = f"""
import gymnasium, aapt_env
env = gymnasium.make("AAPT-World-v0", checkpoint={str(tiny)!r}, disable_env_checker=True)
env.reset(seed=0)
env.step(env.action_space.sample())
"""
    heavy = ("torch._dynamo", "sympy", "torch._inductor", "aapt_env.train", "pygame", "av")
    assert loaded_by(code, *heavy) == []


def test_import_adds_next_to_nothing_to_gymnasium():
    """CPU time of one thread, best of a few: other programs may be at work beside this one."""
    code = (
        "import gymnasium, time; start = time.thread_time(); import aapt_env;"
        "print(time.thread_time() - start)"
    )
    command = [sys.executable, "-c", code]
    runs = (
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        for _ in range(3)
    )
    assert min(float(done.stdout) for done in runs) < OURS


def test_the_world_is_registered():
    import gymnasium as gym

    import aapt_env  # noqa: F401

    spec = gym.spec("AAPT-World-v0")
    assert isinstance(spec.entry_point, str)
    assert spec.max_episode_steps == 360


def test_unknown_names_are_attribute_errors():
    import aapt_env

    with pytest.raises(AttributeError, match="no attribute 'Wurld'"):
        _ = aapt_env.Wurld
    assert aapt_env.WorldSpec.__name__ == "WorldSpec"
