"""A thread that hears all actors, however long the supervisor is at something else, and serves what they ask for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import ray

from foundation.files.cache_use import note_use, uses_of
from sweeper.launchers.ray.assets import PIECE, sizes
from sweeper.launchers.ray.link import Link
from sweeper.launchers.ray.travel import write_parts
from sweeper.launchers.ray.words import Answer, Arrived, Asset, Begin, Done, Leave, Part, Pull, Word
from sweeper.records.messages import Died
from sweeper.records.paths import cache_of

_LOOK_EVERY_S: Final = 0.1
"""How soon a new actor is listened to."""
_ASK_EVERY_S: Final = 2.0
"""How often Ray is asked which nodes are about to go."""
_MAX_GAP_S: Final = 5.0
"""What counts at most of the time between two looks as silence: where this process was held up, nobody could speak."""

Heard = tuple[Link, Word | Died | OSError]


class Listener:
    """`heard` gets what actors said, in order for each, and how they ended."""

    def __init__(self, study: Path, assets: Sequence[Asset], lease_s: float) -> None:
        self.heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._study = study
        self._assets = assets
        self._lease_s = lease_s
        self._links: dict[Link, None] = {}
        self._changing = threading.Lock()
        self._making: dict[str, list[tuple[Link, int]]] = {}
        """By name who makes it, the first, and who waits for that; with the number of the word that asked."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="hears Ray's actors")
        self._thread.start()

    def add(self, link: Link) -> None:
        """Hear another one."""
        with self._changing:
            self._links[link] = None

    def drop(self, link: Link) -> None:
        """Do not hear it any more; what it was making others may make."""
        with self._changing:
            self._links.pop(link, None)
            self._release(link)

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        before = asked = time.monotonic()
        while not self._ended.is_set():
            with self._changing:
                listening = {link.listening: link for link in self._links}
            if not listening:
                self._ended.wait(_LOOK_EVERY_S)
                continue
            ready, _ = ray.wait(list(listening), num_returns=1, timeout=_LOOK_EVERY_S)
            if ready and len(listening) > 1:
                ready, _ = ray.wait(list(listening), num_returns=len(listening), timeout=0)
            for each in ready:
                self._hear(listening[each])
            now = time.monotonic()
            self._count_silence(min(now - before, _MAX_GAP_S))
            before = now
            if now - asked >= _ASK_EVERY_S:
                asked = now
                self._warn_of_nodes_that_go()

    def _hear(self, link: Link) -> None:
        try:
            words: tuple[Word, ...] = ray.get(link.listening)
        except ray.exceptions.ActorUnavailableError:
            link.listen()
            return
        except ray.exceptions.RayActorError as error:
            self._lose(link, _how_it_ended(link, error))
            return
        link.silent_s = 0.0
        for word in words:
            link.seen = word.number
            if isinstance(word.said, Arrived):
                link.node, link.shares = word.said.node, word.said.shares
            if isinstance(word.said, Pull | Begin | Done):
                self._serve(link, word)
            else:
                self.heard.put((link, word))
        link.listen()

    def _lose(self, link: Link, death: Died | OSError) -> None:
        self.drop(link)
        self.heard.put((link, death))

    def _serve(self, link: Link, word: Word) -> None:
        try:
            match word.said:
                case Pull() as pull:
                    link.say(Answer(word.number, self._piece(pull)))
                case Begin(name=name):
                    with self._changing:
                        self._making.setdefault(name, []).append((link, word.number))
                        is_first = len(self._making[name]) == 1
                    if is_first:
                        link.say(Answer(word.number, self._entries()))
                case Done(name=name):
                    self._take_in(word.parts)
                    with self._changing:
                        self._pass_on(name, link)
        except OSError as error:  # this machine's disk
            self._lose(link, error)

    def _piece(self, pull: Pull) -> bytes:
        place = cache_of(self._study.parent) if pull.asset < 0 else self._assets[pull.asset].path
        with (place / pull.path if pull.path else place).open("rb") as file:
            file.seek(pull.offset)
            return file.read(PIECE)

    def _entries(self) -> tuple[tuple[str, tuple[tuple[str, int], ...]], ...]:
        """What the study uses of the cache, but for what travels as an asset."""
        cache = cache_of(self._study.parent).resolve()
        assets = {parent for asset in self._assets for parent in (asset.path, *asset.path.parents)}
        paths = [cache / name for name in sorted(uses_of(self._study) or ())]
        return tuple((path.name, sizes(path)) for path in paths if path.exists() and path not in assets)

    def _take_in(self, parts: tuple[Part, ...]) -> None:
        cache = cache_of(self._study.parent)
        new = tuple(part for part in parts if not (cache / Path(part.path).name).exists())
        write_parts(self._study.parent, new)
        for part in parts:
            note_use(self._study, Path(part.path).name)

    def _pass_on(self, name: str, link: Link) -> None:
        """Let the next one make it, if who made it has come to the end."""
        makers = self._making.get(name, [])
        if makers and makers[0][0] is link:
            makers.pop(0)
            if makers:
                following, number = makers[0]
                following.say(Answer(number, self._entries()))

    def _release(self, link: Link) -> None:
        for name, makers in self._making.items():
            makers[1:] = [each for each in makers[1:] if each[0] is not link]
            self._pass_on(name, link)

    def _count_silence(self, seconds: float) -> None:
        with self._changing:
            links = [link for link in self._links if link.node is not None]
        for link in links:
            link.silent_s += seconds
            if link.silent_s > self._lease_s:
                words = (
                    f"nothing was heard of it for {link.silent_s:.0f} s (launcher.lease_s); its trials go on elsewhere"
                )
                self._lose(link, Died(reason=words, by_itself=False))

    def _warn_of_nodes_that_go(self) -> None:
        going = ray._private.state.state.get_draining_nodes()
        with self._changing:
            links = [link for link in self._links if link.node in going and not link.leaves]
        for link in links:
            link.leaves = True
            link.say(Leave())


def _how_it_ended(link: Link, error: ray.exceptions.RayActorError) -> Died:
    """Why an actor is gone: with its node, or for a reason of its own."""
    gone = {node["NodeID"]: node.get("DeathReasonMessage") for node in ray.nodes() if not node["Alive"]}
    if link.node in gone or getattr(error, "preempted", False):
        why = f" ({gone[link.node]})" if gone.get(link.node or "") else ""
        return Died(reason=f"its node is gone{why}", by_itself=False)
    if link.node is None and not error.actor_init_failed:
        return Died(reason="Ray could not place it", by_itself=False)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return Died(reason=f"Ray lost its actor: {lines[-1] if lines else type(error).__name__}")
