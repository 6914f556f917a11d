"""Worlds on a Hub: a checkpoint's own files, up and down, and nothing else.

Only names that config.json lists (plain file names with a sha256 each) and the model card are fetched; they are JSON,
safetensors and text, so that nothing a stranger put there can run. huggingface_hub does the transfer, and keeps its
cache, its login (`hf auth login`) and its address (HF_ENDPOINT).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from aapt_env.paths import CONFIG

CARD = "README.md"
NAME = r"[A-Za-z0-9][\w.-]*"
OURS = ("checkpoints", "data", "recordings", "runs")  # where a path that is mistyped begins
LARGEST = 8 * 2**30  # bytes of a file that a pull fetches


def is_repo(name: str) -> bool:
    """Whether `org/name` can only mean a repository: two plain parts, the first of them no folder of ours or here."""
    owner = name.partition("/")[0]
    return (
        bool(re.fullmatch(f"{NAME}/{NAME}", name))
        and owner not in OURS
        and not Path(owner).is_dir()
    )


def pull(repo: str, revision: str | None = None) -> Path:
    """Fetch a checkpoint, or take it from the cache.

    Args:
        repo: `org/name`.
        revision: a branch, tag or commit; None for main.

    Returns:
        Its folder, to be read by `checkpoint.read`, which holds every file to its sha256.

    Raises:
        ValueError: no such repository, no checkpoint in it, no network; says what to do.
    """
    api = _api()
    folder = Path(_try(repo, api.hf_hub_download, repo, CONFIG, revision=revision)).parent
    commit = folder.name  # one snapshot: what config.json says and what it says it of
    from aapt_env.checkpoint import read_config

    config, _ = read_config(folder)
    there = {
        file.rfilename: file.size or 0
        for file in _try(repo, api.model_info, repo, revision=commit, files_metadata=True).siblings
    }
    for name in config.files:
        if not name.endswith(".safetensors") or name not in there:
            why = "no safetensors file" if name in there else "not there"
            raise ValueError(f"{repo}: config.json names {name!r}, which is {why}")
        if there[name] > LARGEST:
            raise ValueError(
                f"{repo}: {name} has {there[name]:,} bytes; expected at most {LARGEST:,}"
            )
    for name in [*config.files, *([CARD] if CARD in there else [])]:
        _try(repo, api.hf_hub_download, repo, name, revision=commit)
    _whole(folder, config.files)
    return folder


def push(folder: Path, repo: str, private: bool = False) -> str:
    """Upload a checkpoint, after reading it once to be sure that it is whole.

    Args:
        folder: a checkpoint's folder.
        repo: `org/name`; made where it is not there.
        private: whether a new repository is.

    Returns:
        Its address.

    Raises:
        ValueError: the checkpoint is not whole, or the Hub refuses; says what to do.
    """
    from aapt_env import checkpoint

    if not re.fullmatch(f"{NAME}/{NAME}", repo):
        raise ValueError(f"repository {repo!r}; expected org/name")
    loaded = checkpoint.read(folder)
    checkpoint.read_policy(folder, loaded.spec)
    config, _ = checkpoint.read_config(folder)
    _whole(folder, config.files)
    names = [*config.files, CONFIG, *([CARD] if (folder / CARD).is_file() else [])]
    if astray := [name for name in names if not _lies_in(folder, name)]:
        raise ValueError(
            f"{folder}: {astray[0]} is a link to a file elsewhere, which would go up in its place; put the file "
            "itself there"
        )
    api = _api()
    _try(repo, api.create_repo, repo, private=private, exist_ok=True)
    done = _try(
        repo, api.upload_folder, repo_id=repo, folder_path=folder, allow_patterns=names,
        commit_message=f"{loaded.spec.game}: {loaded.hash[:12]}",
    )  # fmt: skip
    return str(done.commit_url)


def _whole(folder: Path, files: dict[str, str]) -> None:
    """Raises ValueError unless all that config.json names, {name: sha256}, is there, safetensors, and what it says."""
    from aapt_env.tensors import read_tensors

    for name, digest in files.items():
        if not name.endswith(".safetensors"):
            raise ValueError(f"{folder}: config.json names {name!r}, which is no safetensors file")
        read_tensors(folder, name, digest)


def _lies_in(folder: Path, name: str) -> bool:
    """Whether a file is the folder's own, or a link into the Hub's cache, as a pulled world's are."""
    blobs = folder.resolve().parent.parent / "blobs"
    return (folder / name).resolve().parent in (folder.resolve(), blobs)


def _api() -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise ValueError(
            "worlds on a Hub need huggingface_hub: pip install 'aapt-env[hub]'"
        ) from error
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="aapt-env")


def _try(repo: str, call: Any, *args: Any, **flags: Any) -> Any:
    """Call the Hub; whatever goes wrong there becomes one sentence."""
    from huggingface_hub import errors

    try:
        return call(*args, **flags)
    except errors.LocalEntryNotFoundError as error:  # no answer, and no copy in the cache
        raise ValueError(f"{repo}: the Hub cannot be reached, and the cache has no copy") from error
    except errors.EntryNotFoundError as error:
        raise ValueError(
            f"{repo} is no checkpoint: it has no {CONFIG}, or not all that it names"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ValueError(
            f"{repo}: no such repository, or it is private: log in with 'hf auth login'"
        ) from error
    except (
        errors.HfHubHTTPError,
        errors.HFValidationError,
        OSError,
    ) as error:
        raise ValueError(
            f"{repo}: the Hub cannot be used now: {' '.join(str(error).split()):.300}"
        ) from error
