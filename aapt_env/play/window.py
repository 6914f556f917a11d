"""The window: shows frames on time, turns events into input and wishes. The UI thread; the model has its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import pygame
from pygame._sdl2 import controller

from aapt_env.play import help_card, layout, paint
from aapt_env.play.hands import Grab, HandedInputs
from aapt_env.play.hud import Hud, HudState
from aapt_env.play.inputs import Inputs
from aapt_env.play.look import HINT, Look
from aapt_env.play.pads import Pads
from aapt_env.play.playhead import Meter, Playhead
from aapt_env.play.runner import Runner

TOAST = 4.0  # seconds a message stands
NEWS = pygame.event.custom_type()  # posted by the model thread


def screen_there() -> bool:
    """Whether a window can be shown; without a display SDL picks a driver that shows nothing."""
    named = any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))
    if sys.platform.startswith("linux") and not named:
        return False
    try:
        pygame.display.init()
    except pygame.error:
        return False
    return pygame.display.get_driver() not in ("dummy", "offscreen")


class Window:
    """A resizable window over a `Runner`.

    Args:
        runner: the model thread, not started yet; its `notify` is set here.
        title: of the window.
        fps: frames per second; 0 for the world's own.
        scale: screen pixels per frame pixel; 0 for a size that suits the screen.
        limit: frames after which the window closes; 0 for no limit.
        record: start with recording on.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        title: str = "aapt",
        fps: float = 0.0,
        scale: float = 0.0,
        limit: int = 0,
        record: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.runner, self.title, self.clock = runner, title, clock
        self.fps, self.scale, self.limit, self.record = fps, scale, limit, record
        self.playhead = Playhead(runner.take, runner.need, fps or 24.0)
        self.lag = Meter()  # key to frame
        self.inputs: Inputs | None = None
        self.hud: Hud | None = None
        self.pads: Pads | None = None
        self.look: Look | None = None
        self.grab: Grab | None = None
        self.open = True
        self.smooth = True
        self.help = False
        self._toast, self._toast_until = "", 0.0
        self._dirty = True
        self._fullscreen = False
        self._screen: pygame.Window | None = None
        self._fitted: layout.Size | None = None  # the size this program chose last
        self._twin = False

    def run(self) -> None:
        """Show the world until the player leaves.

        Raises:
            Exception: what stopped the model thread.
        """
        self._begin()
        try:
            while self.open and self.runner.error is None:
                self._turn()
        finally:
            closed = self.runner.close()
            if self._screen is not None:
                self._screen.destroy()
            pygame.display.quit()
        if self.runner.error is not None:
            raise self.runner.error
        if not closed:
            raise RuntimeError("the model thread did not end within a minute of its last step")

    def handle(self, event: pygame.event.Event) -> None:
        """Take one event of pygame."""
        now = self.clock()
        if event.type in (pygame.QUIT, pygame.WINDOWCLOSE):
            self.open = False
        elif event.type in (pygame.KEYDOWN, pygame.KEYUP):
            self._key(event, now)
        elif event.type == pygame.WINDOWFOCUSLOST and self.inputs:
            self.inputs.release_all(now)
            self._let_go()
        elif self.grab is not None and self.grab.handle(event):
            return
        elif self.look is not None and self.look.handle(event, now):
            return  # the next frame shows it; painting for every motion would cost one
        elif event.type in (pygame.VIDEORESIZE, pygame.VIDEOEXPOSE, NEWS):
            pass
        elif self.pads is not None and (wish := self.pads.handle(event, now)):
            self.command(wish)
        self._dirty = True

    def command(self, name: str) -> None:
        """Do what a key of the window stands for."""
        if name == "quit" and self.look is not None and self.look.taken:
            self._let_go()
        elif name == "quit":
            self.help, self.open = False, self.help  # Escape closes the help first
        elif name == "pause":
            self._pause(self.playhead.paused_at is None)
        elif name == "smooth":
            self.smooth = not self.smooth
        elif name == "help":
            self.help = not self.help
        elif name == "fullscreen":
            self._toggle_fullscreen()
        else:
            if name in ("reset", "new"):
                self._pause(False)
            self.runner.ask(name)

    def draw(self) -> None:
        """Paint the window."""
        assert self._screen is not None
        surface = self._screen.get_surface()
        surface.fill(paint.NIGHT)
        latent, unit = self.playhead.latent, self._unit()
        if latent is None or self.hud is None:
            at = surface.get_rect().center
            paint.write(surface, "Waking the world", at, round(22 * unit), anchor="center")
        else:
            state = self.state()
            rects = layout.pictures(surface.get_size(), self._frame_size(), 1 + state.twin)
            index = self.playhead.index
            for frames, rect in zip((latent.frames, latent.twin), rects, strict=False):
                assert frames is not None
                frame = frames[min(index, len(frames) - 1)]
                surface.blit(paint.picture(frame, rect.size, self.smooth), rect)
            self.hud.labels(surface, rects, state, unit)
            self.hud.strip(surface, layout.strip(surface.get_size()), state, unit)
        if self.help and self.inputs:
            help_card.draw(surface, self.inputs.control, unit)
        self._screen.flip()
        self._dirty = False

    def state(self) -> HudState:
        """What the HUD has to show now."""
        latent, now, runner = self.playhead.latent, self.clock(), self.runner
        assert latent is not None and self.inputs is not None and runner.setup is not None
        recorder, spec = runner.recorder, runner.setup.spec
        ended = latent.over and self.playhead.index == len(latent.frames) - 1
        frames = 1 + max(latent.number - 1, 0) * spec.k + self.playhead.index
        recording = recorder is not None and recorder.on
        return HudState(
            name=spec.game,
            dream=runner.setup.dream,
            device=runner.setup.device,
            fps=self.playhead.measured_fps(now),
            goal_fps=self.playhead.fps,
            step=runner.steps.text(),
            lag=self.lag.text(),
            seed=latent.seed,
            seconds=frames / self.playhead.fps,
            score=latent.score if latent.paid else None,
            scene=latent.scene,
            row=latent.row if self.grab is None else None,
            held=self.inputs.held(),
            driver=runner.driver,
            recording=recorder.frames / spec.frame_fps if recording else None,
            paused=self.playhead.paused_at is not None,
            smooth=self.smooth,
            twin=latent.twin is not None,
            twin_over=latent.twin_over,
            over=("Game over" if latent.terminated else "Time is up") if ended else "",
            toast=self._toast if now < self._toast_until else "",
        )

    def _begin(self) -> None:
        pygame.display.init()
        pygame.font.init()
        controller.init()
        pygame.key.set_repeat()
        desktop = pygame.display.get_desktop_sizes()[0]
        self._fitted = layout.window_size((64, 64), 1, self.scale, desktop)
        self._screen = pygame.Window(self.title, self._fitted, resizable=True)
        self._screen.minimum_size = layout.SMALLEST
        self.runner.notify = lambda: pygame.event.post(pygame.event.Event(NEWS))
        self.draw()
        self.runner.start()

    def _turn(self) -> None:
        """One turn of the loop: events, the frame that is due, the picture."""
        now = self.clock()
        events = [pygame.event.wait(max(1, int(1e3 * self.playhead.wait(now))))]
        for event in [*events, *pygame.event.get()]:
            if event.type != pygame.NOEVENT:
                self.handle(event)
        if self.inputs is None and self.runner.setup is not None:
            self._meet()
        while message := self.runner.message():
            self._toast, self._toast_until = message, self.clock() + TOAST
            self._dirty = True
        if self._toast and self.clock() >= self._toast_until:
            self._toast, self._dirty = "", True
        fresh = self.playhead.advance(self.clock())
        latent = self.playhead.latent
        if latent is not None and (latent.twin is not None) != self._twin:
            self._twin = not self._twin
            self._fit(1 + self._twin)
        if fresh or self._dirty:
            self.draw()
        if fresh:
            self._shown()

    def _shown(self) -> None:
        """After a new frame is on screen: measure the key that it answers, and stop at the limit."""
        latent = self.playhead.latent
        assert latent is not None
        if self.playhead.index == 0 and latent.since is not None:
            self.lag.add(self.clock() - latent.since)
        if self.limit and self.playhead.shown >= self.limit:
            self.open = False

    def _meet(self) -> None:
        """The world is there: learn its control, its speed and its shape."""
        setup = self.runner.setup
        assert setup is not None and self.runner.inputs is not None
        self.inputs = self.runner.inputs
        self.hud, self.pads = Hud(self.inputs.control), Pads(self.inputs)
        if isinstance(self.inputs, HandedInputs):
            self.grab = Grab(self.inputs.hands, self._place)
        self.look = Look(self.inputs, pygame.mouse.set_relative_mode)
        if self.look.axes:
            self._toast, self._toast_until = HINT, self.clock() + TOAST
        self.playhead.fps = self.fps or float(setup.spec.frame_fps)
        for index in range(controller.get_count()):
            self.pads.handle(
                pygame.event.Event(pygame.CONTROLLERDEVICEADDED, device_index=index), self.clock()
            )
        self._fit(1)
        if self.record:
            self.runner.ask("record")

    def _toggle_fullscreen(self) -> None:
        assert self._screen is not None
        self._fullscreen = not self._fullscreen
        if self._fullscreen:
            self._screen.set_fullscreen(desktop=True)
        else:
            self._screen.set_windowed()

    def _key(self, event: pygame.event.Event, now: float) -> None:
        name = pygame.key.name(event.key)
        control = self.inputs.control if self.inputs else None
        bound = help_card.bound_keys(control) if control else frozenset()
        if event.type == pygame.KEYUP:
            if self.inputs:
                self.inputs.release(name, now)
            return
        command = help_card.command_of(
            name, bool(getattr(event, "mod", 0) & pygame.KMOD_CTRL), bound
        )
        if command:
            self.command(command)
        elif self.inputs and name in bound:
            self.inputs.press(name, now)

    def _let_go(self) -> None:
        """Give the mouse back."""
        if self.look is not None:
            self.look.take(False)

    def _pause(self, on: bool) -> None:
        if on == (self.playhead.paused_at is not None):
            return
        now = self.clock()
        (self.playhead.pause if on else self.playhead.resume)(now)
        self.runner.ask("pause" if on else "play")

    def _unit(self) -> float:
        return layout.unit_of(self._size()[0])

    def _size(self) -> layout.Size:
        assert self._screen is not None
        return self._screen.get_surface().get_size()

    def _frame_size(self) -> layout.Size:
        assert self.runner.setup is not None
        return self.runner.setup.spec.width, self.runner.setup.spec.height

    def _place(self, at: tuple[int, int]) -> tuple[float, float] | None:
        """A point of the window -> units of half the frame's shorter side, y up; None beside it."""
        for rect in layout.pictures(self._size(), self._frame_size(), 1 + self._twin):
            if rect.collidepoint(at):
                unit = min(rect.size) / 2
                return (at[0] - rect.centerx) / unit, (rect.centery - at[1]) / unit
        return None

    def _fit(self, pictures: int) -> None:
        """Give the window the size that suits so many pictures, unless the player chose another."""
        assert self._screen is not None
        if self._fullscreen or (self._fitted and self._fitted != self._size()):
            return
        desktop = pygame.display.get_desktop_sizes()[0]
        size = layout.window_size(self._frame_size(), pictures, self.scale, desktop)
        if size != self._size():
            self._screen.size = size
            self._screen.position = layout.on_screen(self._screen.position, size, desktop)
        self._fitted = self._size()
