"""A folder that is made beside its place, and takes it when it is whole. No folder that others made is touched."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from aapt_env.data.files import DatasetWriteError

try:
    import fcntl
except ImportError:  # a system without it does not notice who else is at it
    fcntl = None

MARK = ".aapt-partial"  # stands in a folder of ours, and is locked while somebody writes there
ELSE = "give another --out"


@contextlib.contextmanager
def all_or_nothing(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when all went well, and goes away otherwise.

    What a killed process left of one is cleared away first.

    Raises:
        ValueError: at `out` is something already; or beside it is a folder of others, or one that is being written.
        DatasetWriteError: the folder cannot be made.
    """
    out = out.resolve() if out.is_symlink() else out
    _vacant(out)
    partial = out.with_name(out.name + ".partial")
    made = [folder for folder in partial.parents if not folder.exists()]
    with _claimed(partial):
        try:
            yield partial
            _move(partial, out)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            with contextlib.suppress(OSError):
                for folder in made:
                    folder.rmdir()
            raise


def _vacant(out: Path) -> None:
    """Raises ValueError unless a folder can be put there: nothing is, or an empty one."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; expected a new or an empty folder: {ELSE}")
    there = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if there:
        names = ", ".join(there[:3]) + (", ..." if len(there) > 3 else "")
        raise ValueError(
            f"{out} is not empty (it has {names}); expected a new or an empty folder: {ELSE}"
        )


@contextlib.contextmanager
def _claimed(partial: Path) -> Iterator[None]:
    """The folder, empty but for its mark, is nobody else's meanwhile. Raises as `all_or_nothing` does."""
    lock = None
    while lock is None:
        try:
            lock = _locked(partial)
        except OSError as error:
            raise _unwritable(partial, error) from error
    try:
        _clear(partial)
        yield
    finally:
        if lock >= 0:
            os.close(lock)


def _locked(partial: Path) -> int | None:
    """Lock the mark of a folder, which is made where there is none.

    Returns:
        A descriptor that holds the lock, -1 where the system knows no locks; None where the folder went away meanwhile.
    """
    if not partial.exists():
        partial.mkdir(parents=True, exist_ok=True)
    mark = partial / MARK
    if partial.is_dir() and not any(partial.iterdir()):
        mark.touch()
    if not mark.is_file():
        if not partial.exists():
            return None
        raise ValueError(
            f"{partial} is in the way, and neither import nor export made it; move it away, or {ELSE}"
        )
    if fcntl is None:
        return -1
    try:
        lock = os.open(mark, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise ValueError(
            f"{partial} is being written by another process; wait until that is done, or {ELSE}"
        ) from error
    except OSError:  # the file system knows no locks
        return lock
    if mark.is_file() and os.path.samestat(os.fstat(lock), mark.stat()):
        return lock
    os.close(lock)
    return None


def _clear(partial: Path) -> None:
    """Delete what is in a folder of ours, but for its mark."""
    try:
        for path in partial.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != MARK:
                path.unlink()
    except OSError as error:
        raise _unwritable(partial, error) from error


def _move(partial: Path, out: Path) -> None:
    """Put the folder in its place."""
    try:
        partial.rename(out)
    except OSError as error:
        raise ValueError(f"{out} cannot be put there ({error.strerror}); {ELSE}") from error
    (out / MARK).unlink(missing_ok=True)


def _unwritable(partial: Path, error: OSError) -> DatasetWriteError:
    return DatasetWriteError(
        error.errno,
        f"cannot write here ({error.strerror}); expected a folder with write permission and free space: {ELSE}",
        str(partial),
    )
