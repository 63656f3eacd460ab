"""Open slides: how many at once, how much memory they hold, and what a failed read costs."""

import weakref
from collections import OrderedDict
from threading import Lock

from PIL import Image

from cervix.sources.readers.reader import OpenedSlide, SlideHandle

HANDLES_OPEN_AT_MOST = 32
# Decoded pictures are held up to here, all together; one let go is decoded again when somebody looks at it.
PICTURES_HELD_BYTES = 640 << 20


class SlideFile:
    """The handle of a slide, shared by every session that looks at it.

    It is replaced after a failed read: OpenSlide keeps a handle in error for good, and a single damaged tile must not
    end them all. A read that failed beside another's damaged tile is made again on a handle of its own, so that a place is
    called damaged only when it is. Handles used longest ago are let go and opened again when they are needed.
    """

    def __init__(self, opened: OpenedSlide) -> None:
        self._reopen, self._broken_by = opened.reopen, opened.broken_by
        self._lock = Lock()
        self._handle: SlideHandle | None = opened.handle
        self.held_bytes = opened.held_bytes
        """What it keeps in memory while it is open, beside the cache of tiles."""
        self.dimensions, self.properties = opened.handle.dimensions, dict(opened.handle.properties)
        """As ``SlideHandle`` has them, read once: a handle in error does not even say how large it is."""
        self._doubt = Lock()
        self._spare: SlideHandle | None = None
        _handles.used(self)

    def _used_handle(self) -> SlideHandle:
        """The handle, opened if it is not."""
        _handles.used(self)
        with self._lock:
            handle = self._handle
            if handle is None:
                handle = self._handle = self._reopen()
        return handle

    def let_go(self, handle: SlideHandle | None = None) -> None:
        """Forget the handle (or only this one); reads under way end on it, then it closes itself."""
        with self._lock:
            if handle is None or self._handle is handle:
                self._handle = None
            if handle is None:
                self._spare = None

    def read_region(self, corner_l0_px: tuple[int, int], level: int, size_px: tuple[int, int]) -> Image.Image:
        """As ``SlideHandle.read_region``."""
        handle = self._used_handle()
        try:
            return handle.read_region(corner_l0_px, level, size_px)
        except self._broken_by:
            self.let_go(handle)
        with self._doubt:
            spare, self._spare = self._spare or self._reopen(), None
            region = spare.read_region(corner_l0_px, level, size_px)
            self._spare = spare
        return region


class _OpenHandles:
    """Which files are open, in the order of their last use; only so many at once, and only so many bytes."""

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._files: OrderedDict[int, weakref.ref[SlideFile]] = OrderedDict()
        self._lock = Lock()

    def used(self, file: SlideFile) -> None:
        """Put a file to the end of the order, and let go of the first ones until those that stay fit."""
        with self._lock:
            self._files[id(file)] = weakref.ref(file)
            self._files.move_to_end(id(file))
            surplus = []
            while len(self._files) > self._limit or (len(self._files) > 1 and self._held() > self._limit_bytes):
                surplus.append(self._files.popitem(last=False)[1]())
        for oldest in surplus:
            if oldest is not None:
                oldest.let_go()

    def _held(self) -> int:
        files = [reference() for reference in self._files.values()]
        return sum(file.held_bytes for file in files if file is not None)


_handles = _OpenHandles(HANDLES_OPEN_AT_MOST, PICTURES_HELD_BYTES)
