"""Ways to run a world's step: as written, recorded as CUDA graphs, or through torch.compile."""

from __future__ import annotations

import contextlib
import gc
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from aapt_env.fast import still
from aapt_env.fast.options import Fast
from aapt_env.model.cache import RingCache

if TYPE_CHECKING:
    from aapt_env.world import World

Work = Callable[[], Any]
# Runs the work again; what it returns is what the first run returned, written anew.
Replay = Callable[[], Any]
Record = Callable[["Undone"], Replay]
# A line that names an error and says more.
INNER = re.compile(r"[\w.]*(Error|Exception)\b[:(] *.*\w")
WARMUP = 2  # runs of what is then recorded
WAIT = 8  # steps of a world before its graphs are recorded


def say(line: str) -> None:
    """One line for whoever asked for a fast path and gets a plain one."""
    print(f"aapt_env: {line}", file=sys.stderr)


def reason(error: Exception) -> str:
    """Why, in few words: of a compiler's error, which quotes others and ends with hints, the innermost."""
    inner = [line for line in str(error).splitlines() if INNER.match(line)]
    return " ".join((inner[-1] if inner else str(error)).split())[:120]


class Plain:
    """As written; on a CPU by default on weights laid out once.

    Attributes:
        name: for a report.
    """

    name = "plain"

    def fresh(self) -> Plain:
        """The same for a fork."""
        return self

    def advance(self, world: World, controls: Tensor) -> None:
        """The generator's part of a step: controls [B, width]."""
        world.previous, world.reward, world.ending = world.make(controls.to(world.device))

    def show(self, world: World) -> Tensor:
        """The decoder's part: frames uint8 [B, k, H, W, 3]."""
        frames, world.decoder = world.decode()
        return frames


class Still(Plain):
    """The step in memory that stays where it is, through torch.compile where that is wanted.

    A lone row whose ring has filled needs no mask, and takes a step of its own without one.
    """

    def __init__(self, compiled: bool = False):
        self.compiled = compiled
        self.name = "compiled" if compiled else "in place"
        made = partial(torch.compile, dynamic=False) if compiled else lambda step: step
        self.steps = {"advance": made(still.advance), "show": made(still.show)}
        self.tried: set[str] = set()  # steps that were compiled
        self.places: list[Tensor] = []
        self.controls: Tensor | None = None  # [B, width]

    def fresh(self) -> Still:
        """Another world has other memory."""
        return Still(self.compiled)

    def settle(self, world: World, controls: Tensor) -> Tensor:
        """Everything in its place; returns the controls there."""
        still.still(world.cache)
        if not self.places:
            self.places = [each.clone() for each in still.state(world)]
        if self.controls is None:
            self.controls = torch.empty_like(controls, device=world.device)
        still.settle(world, self.places)
        return self.controls.copy_(controls, non_blocking=True)

    def advance(self, world: World, controls: Tensor) -> None:
        """As `Plain`, in place."""
        placed, cache = self.settle(world, controls), still.still(world.cache)
        cache.bare = cache.full()
        name = "full" if cache.bare else "masked"
        done = self.run(world, name, partial(self.steps["advance"], world, placed))
        if done is None:
            return world.way.advance(world, controls)
        cache.passed()
        if world.outcome is not None:
            world.reward, world.ending = (each.clone() for each in done)

    def show(self, world: World) -> Tensor:
        """As `Plain`, in place; the frames are the caller's own."""
        still.settle(world, self.places)
        done = self.run(world, "show", partial(self.steps["show"], world))
        return world.way.show(world) if done is None else done.clone()

    def run(self, world: World, name: str, work: Work) -> Any:
        """The work; None where it cannot be done, and the world from now on steps plainly."""
        if name in self.tried or not self.compiled:
            return work()
        self.tried.add(name)
        return self.attempt(world, work, lambda undone: undone())

    def attempt(self, world: World, work: Work, how: Callable[[Undone], Any]) -> Any:
        """What `how` makes of the work; None after a line that says why it cannot."""
        undone = Undone(world, work)
        try:
            return how(undone)
        except RuntimeError as error:  # no memory, or what cannot be compiled or recorded
            say(f"this step cannot be made fast ({reason(error)}): plain instead")
            world.cache.__class__, world.way = RingCache, Plain()
            undone.undo()
            return None


class Graphs(Still):
    """The whole step as CUDA graphs: one launch for the generator, one for the decoder.

    Args:
        record: work -> its replay; a CUDA graph, or in tests a tape of operations.
        compiled: record what torch.compile makes of the step.
        wait: steps before recording, which takes as long as several: a fork that lives shorter is not worth it.
    """

    def __init__(self, record: Record | None = None, compiled: bool = False, wait: int = WAIT):
        super().__init__(compiled)
        self.name = "compiled, graphs" if compiled else "graphs"
        self.given, self.record = record, record or Recorder()
        self.wait, self.steps_run = wait, 0
        self.replays: dict[str, Replay] = {}

    def fresh(self) -> Graphs:
        """Another world needs graphs of its own."""
        return Graphs(self.given, self.compiled, self.wait)

    def run(self, world: World, name: str, work: Work) -> Any:
        """As `Still`, recorded after a while and then launched."""
        self.steps_run += name != "show"
        if self.steps_run <= self.wait:
            return super().run(world, name, work)
        if name not in self.replays:
            replay = self.attempt(world, work, self.record)
            if replay is None:
                return None
            self.replays[name] = replay
        return self.replays[name]()


class Undone:
    """Work on a world, and a way back: recording runs it for nothing, once and more.

    A step writes the ring where the next one of the same age writes again, so only what is small is kept.
    """

    def __init__(self, world: World, work: Work):
        self.work, self.cache = work, world.cache
        self.state = [*still.state(world), self.cache.age]
        self.kept = [each.clone() for each in self.state]

    def __call__(self) -> Any:
        """The work."""
        return self.work()

    def undo(self) -> None:
        """As before the work."""
        for mine, kept in zip(self.state, self.kept, strict=True):
            mine.copy_(kept)
        self.cache.prepare()


class Pool:
    """Where graphs of which never two run at once have their memory, and the stream on which they are recorded."""

    def __init__(self):
        self.handle: Any = None
        self.stream: torch.cuda.Stream | None = None


class Recorder:
    """CUDA graphs of one world."""

    def __init__(self):
        self.pool = Pool()

    def __call__(self, work: Undone) -> Replay:
        """Record, leaving the world's state as it was."""
        return capture(work, work.undo, self.pool)


def capture(
    work: Work,
    undo: Callable[[], None] = lambda: None,
    pool: Pool | None = None,
    warmup: int = WARMUP,
    generator: torch.Generator | None = None,
) -> Replay:
    """A CUDA graph of some work.

    Args:
        work: is run for nothing first: libraries find their algorithms, Triton compiles.
        undo: is called after each such run.
        pool: that its memory is in; one of its own, if not given.
        warmup: such runs; 0 for work that has been done before.
        generator: of the work's random numbers, whose state at a launch is the one that counts.
    """
    pool = pool or Pool()
    # its own, since a graph that is dropped frees what others recorded on that stream would still multiply in
    stream = pool.stream = pool.stream or torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(warmup):
            work()
            undo()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    if generator is not None:
        graph.register_generator_state(generator)
    how = dict(pool=pool.handle, stream=stream, capture_error_mode="thread_local")
    with uncollected(), torch.cuda.graph(graph, **how):
        out = work()
    pool.handle = graph.pool()

    def replay() -> Any:
        graph.replay()
        return out

    return replay


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected meanwhile: an old graph that ends while a new one is recorded breaks it."""
    before, stream = gc.isenabled(), torch.cuda.current_stream()
    gc.disable()
    try:
        yield
    finally:
        torch.cuda.set_stream(stream)  # where recording failed, it is still the graph's
        if before:
            gc.enable()


def compiler() -> bool:
    """Whether there is a C++ compiler, which torch.compile needs on a CPU."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return shutil.which(get_cpp_compiler()) is not None
    except (InvalidCxxCompiler, RuntimeError):
        return False


def choose(fast: Fast, device: torch.device) -> Plain:
    """The way for a device.

    Raises:
        ValueError: graphs without a GPU.
    """
    if fast.way == "graphs" and device.type != "cuda":
        raise ValueError(f"fast='graphs' needs a CUDA GPU, this world is on {device}; use 'auto'")
    if fast.way == "compile" and device.type != "meta":
        if device.type == "cuda":
            return Graphs(compiled=True)
        if compiler():
            return Still(compiled=True)
        say("torch.compile needs a C++ compiler, and there is none: plain instead")
    graphs = fast.way in ("auto", "graphs") and device.type == "cuda"
    return Graphs() if graphs else Plain()
