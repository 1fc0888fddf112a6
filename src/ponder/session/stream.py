"""The samples of one call, in order of completion."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from ponder.types import Prefix, Sample, Sampling


class SampleStream:
    """What `Session.sample` returns: yields each sample as it ends.

    A sample counts when it is yielded; closing the stream ends the samples that still run.
    """

    def __init__(
        self,
        prefix: Prefix,
        sampling: Sampling,
        requests: Callable[[int], str],
        paths: int,
        counted: Callable[[Sample], None],
    ) -> None:
        self.prefix = prefix
        self.sampling = sampling
        self.requests = requests
        """What its samples are called in the log, by their seeds; not those that are cut."""
        self._left = paths
        self._counted = counted
        self._ended: asyncio.Queue[Sample | Exception | None] = asyncio.Queue()
        self.tasks: dict[asyncio.Task[None], Collection[SampleStream]] = {}
        """Those that draw for this stream, each with all the streams that it draws for."""
        self.closed = False

    def __aiter__(self) -> SampleStream:
        return self

    async def __anext__(self) -> Sample:
        """The next sample to end; raises what kept the others from being drawn."""
        while self._left > 0 and not self.closed:
            sample = await self._ended.get()
            self._left -= 1
            if isinstance(sample, Exception):
                raise sample
            if sample is not None and not self.closed:
                self._counted(sample)
                return sample
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End what still runs for this stream alone; samples not yet yielded do not count."""
        self.closed = True
        self._ended.put_nowait(None)  # wakes a reader, who sees that it is closed
        for task, streams in self.tasks.items():
            if all(stream.closed for stream in streams):
                task.cancel()
        await asyncio.sleep(0)

    def put(self, sample: Sample) -> None:
        """A sample ended."""
        self._ended.put_nowait(sample)

    def fail(self, error: Exception) -> None:
        """A path that cannot be drawn, for a reason that ends the search."""
        self._ended.put_nowait(error)

    def refuse(self, count: int = 1) -> None:
        """Paths that get no sample."""
        for _ in range(count):
            self._ended.put_nowait(None)
