"""A world on disk: the only bridge from training to running.

    config.json             spec, sizes, how it was trained, a sha256 per file
    generator.safetensors   bf16
    vae.safetensors         bf16
    starts.safetensors      where a dream can begin
    policy.safetensors      optional: a small player that sees frames only
    outcome.safetensors     optional: the head that reads reward and termination
    README.md               the model card

Nothing here can run code: JSON with known keys, and safetensors.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from aapt_env import sizes
from aapt_env.model.generator import Generator
from aapt_env.model.outcome import OutcomeHead
from aapt_env.model.policy import Policy
from aapt_env.model.trunk import TrunkConfig
from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.paths import folder_name
from aapt_env.spec import WorldSpec
from aapt_env.starts import Start, pack, unpack
from aapt_env.strict import strict
from aapt_env.tensors import half, put, read_tensors, sha256, write_tensors

FORMAT = 1
LONGEST = 4096  # latents of a window: a world's memory is taken before its first step
STARTS = "starts.safetensors"
WEIGHTS = ("generator.safetensors", "vae.safetensors", STARTS)
POLICY, OUTCOME = "policy.safetensors", "outcome.safetensors"


@dataclass(frozen=True, kw_only=True)
class Config:
    """What config.json holds."""

    format: int
    spec: dict
    trunk: dict
    vae: dict
    files: dict[str, str]  # name -> sha256
    training: dict = field(default_factory=dict)  # recipe, stage, steps, device, figures


@dataclass(frozen=True)
class Checkpoint:
    """A loaded world, in float32 on the CPU."""

    spec: WorldSpec
    generator: Generator
    vae: VAE
    starts: list[Start]
    hash: str  # sha256 of config.json, which holds the hashes of all else
    training: dict = field(default_factory=dict)
    folder: Path | None = None
    outcome: OutcomeHead | None = None


def save(
    folder: Path,
    spec: WorldSpec,
    generator: Generator,
    vae: VAE,
    starts: list[Start],
    training: dict,
) -> None:
    """Write a checkpoint folder; config.json last, so that a half-written one is not taken for a world.

    A player that lies there stays; an outcome head does not, since it reads the features of another generator.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(
        folder, dict(zip(WEIGHTS, (half(generator), half(vae), pack(starts)), strict=True))
    )
    names = [*WEIGHTS, *([POLICY] if (folder / POLICY).is_file() else [])]
    config = Config(
        format=FORMAT,
        spec=spec.to_dict(),
        trunk=dataclasses.asdict(generator.config),
        vae=dataclasses.asdict(vae.config),
        files={name: sha256((folder / name).read_bytes()) for name in names},
        training=training,
    )
    write_config(folder, config)


def write_config(folder: Path, config: Config) -> None:
    """Write config.json atomically."""
    partial = folder / "config.json.partial"
    partial.write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n")
    partial.replace(folder / "config.json")


def read_config(folder: Path) -> tuple[Config, str]:
    """config.json and its hash.

    Raises:
        ValueError: missing, not JSON, of another format, with unknown keys or with paths for file names.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} is no checkpoint: it has no config.json")
    raw = path.read_bytes()
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); get the checkpoint again") from error
    config = strict(Config, data, str(path), "get the checkpoint again")
    if config.format != FORMAT:
        raise ValueError(
            f"{path}: format {config.format!r}; this version of aapt_env reads {FORMAT}: get the checkpoint again, "
            "or a newer aapt_env"
        )
    if not isinstance(config.training, dict):
        raise ValueError(
            f"{path}: training is {type(config.training).__name__}, expected an object; get the checkpoint again"
        )
    if not isinstance(config.files, dict) or not all(
        map(plain, config.files, config.files.values())
    ):
        raise ValueError(
            f"{path}: files must be plain names with a sha256 each, got {str(config.files):.80}; "
            "get the checkpoint again"
        )
    missing = sorted(set(WEIGHTS) - set(config.files))
    if missing:
        raise ValueError(f"{path}: no hash for {', '.join(missing)}; get the checkpoint again")
    return config, sha256(raw)


def plain(name: str, digest: object) -> bool:
    """Whether `name` can only lie in the checkpoint's own folder, and `digest` is text."""
    return name not in ("", ".", "..") and not set(name) & set("/\\:\0") and isinstance(digest, str)


def read(folder: str | Path) -> Checkpoint:
    """Load a world from its folder.

    Raises:
        ValueError: anything missing, damaged, changed or contradictory; says what, and what to do.
    """
    folder = Path(folder)
    config, digest = read_config(folder)
    tensors = {name: read_tensors(folder, name, config.files[name]) for name in WEIGHTS}
    if not sizes.room_for(config, *(tensors[name] for name in WEIGHTS[:2])):
        with torch.device("meta"):  # sizes that do not fit are told before they take memory
            build(config, folder, tensors)
    spec, generator, vae = build(config, folder, tensors)
    try:
        starts = unpack(tensors[WEIGHTS[2]], spec)
    except ValueError as error:
        raise ValueError(
            f"{folder / WEIGHTS[2]}: {error}; get or train the checkpoint again"
        ) from error
    outcome = read_outcome(folder, config, generator.config)
    networks = generator.eval(), vae.eval()
    return Checkpoint(spec, *networks, starts, digest, config.training, folder, outcome)


def read_outcome(folder: Path, config: Config, trunk: TrunkConfig) -> OutcomeHead | None:
    """The head that reads reward and termination; None when the world has learned none. Raises ValueError as `read`."""
    if OUTCOME not in config.files:
        return None
    tensors = read_tensors(folder, OUTCOME, config.files[OUTCOME])
    width, bins = (
        tensors.get(f"{name}.bias", torch.zeros(1)).numel() for name in ("read", "reward")
    )
    head = OutcomeHead(trunk, width, bins)
    put(head, tensors, str(folder / OUTCOME))
    return head.eval()


def build(
    config: Config, folder: Path, tensors: dict[str, dict[str, Tensor]]
) -> tuple[WorldSpec, Generator, VAE]:
    """The spec, and the networks with their weights.

    Raises:
        ValueError: sizes that are no sizes, contradict each other, or are not those of the weights.
    """
    try:
        spec = WorldSpec.from_dict(config.spec)
        trunk = strict(TrunkConfig, config.trunk, "trunk")
        coder = strict(VAEConfig, config.vae, "vae")
        sizes.check(spec, trunk, coder)
        if trunk.depth > len(tensors[WEIGHTS[0]]):
            raise ValueError(f"trunk: {trunk.depth} blocks, more than {WEIGHTS[0]} has tensors")
        if trunk.window > LONGEST:
            raise ValueError(
                f"trunk: a window of {trunk.window} latents; expected at most {LONGEST}"
            )
        generator, vae = Generator(trunk, spec.control), VAE(coder)
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:  # the last: no memory
        where = folder / "config.json"
        raise ValueError(
            f"{where}: {' '.join(str(error).split())}; get the checkpoint again"
        ) from error
    for module, name in ((generator, WEIGHTS[0]), (vae, WEIGHTS[1])):
        put(module, tensors[name], str(folder / name))
    return spec, generator, vae


def ship(source: Path, out: Path) -> Path:
    """Copy a checkpoint to `out`/<game>, after reading it once to be sure that it is whole.

    The world that lies there stays playable until all of the new one is there.

    Returns:
        The folder it now lies in.

    Raises:
        ValueError: the checkpoint is not whole, or lies there already.
        OSError: no room, or `out` cannot be written to; what lay there is untouched.
    """
    source = Path(source)
    checkpoint, (config, _) = read(source), read_config(source)
    read_policy(source, checkpoint.spec)
    place = Path(out) / folder_name(checkpoint.spec.game)
    if place.resolve() == source.resolve():
        raise ValueError(
            f"{source} lies in {out} already; give the folder of a training, or another --out"
        )
    known = [name for name in (*WEIGHTS, POLICY, OUTCOME) if name in config.files]
    names = [*known, "README.md", "config.json"]
    names = [name for name in names if (source / name).is_file()]
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(source / name, place / (name + ".partial"))
    except OSError as error:
        for name in names if place.is_dir() else ():
            (place / (name + ".partial")).unlink(missing_ok=True)
        raise OSError(
            error.errno,
            f"cannot ship to this folder ({error.strerror}); expected one with write permission and free space: "
            "make room, or give another with --out",
            str(place),
        ) from error
    (place / "config.json").unlink(missing_ok=True)  # no world while old and new files are mixed
    for name in names:
        (place / (name + ".partial")).replace(place / name)
    for name in {POLICY, OUTCOME, "README.md"}.difference(names):  # of the world before
        (place / name).unlink(missing_ok=True)
    return place


def save_policy(folder: Path, policy: Policy) -> None:
    """Add the small player to a checkpoint."""
    add(folder, POLICY, policy)


def save_outcome(folder: Path, head: OutcomeHead) -> None:
    """Add the head that reads reward and termination to a checkpoint, whose generator it was trained on."""
    add(folder, OUTCOME, head)


def add(folder: Path, name: str, part: nn.Module) -> None:
    """Write one more file of weights, and name it in config.json."""
    config, _ = read_config(folder)
    write_tensors(folder, {name: half(part)})
    files = config.files | {name: sha256((folder / name).read_bytes())}
    write_config(folder, dataclasses.replace(config, files=files))


def take(folder: Path, origin: Path, name: str) -> None:
    """Have one file of another checkpoint, to the bit, in the place of this one's."""
    if origin.samefile(folder):
        return
    partial = folder / f"{name}.partial"
    shutil.copyfile(origin / name, partial)
    partial.replace(folder / name)
    config, _ = read_config(folder)
    files = config.files | {name: sha256((folder / name).read_bytes())}
    write_config(folder, dataclasses.replace(config, files=files))


def read_policy(folder: Path, spec: WorldSpec) -> Policy | None:
    """The checkpoint's player; None when it carries none. Raises ValueError as `read` does."""
    config, _ = read_config(folder)
    if POLICY not in config.files:
        return None
    tensors = read_tensors(folder, POLICY, config.files[POLICY])
    first = tensors.get("layers.0.weight")
    policy = Policy(
        spec.control, spec.k, first.shape[0] if first is not None and first.ndim else 32
    )
    put(policy, tensors, str(folder / POLICY))
    return policy.eval()
