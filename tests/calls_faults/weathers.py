"""What a call undergoes on its way, and what the two pages show of it meanwhile and after."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from tests.calls_faults.meeting import Meeting, Talker
from tests.support.network import Weather

NEAR_S = 0.02
WEATHERS = {
    "10 % loss": Weather(loss=0.10, delay_s=NEAR_S),
    "reordering": Weather(delay_s=NEAR_S, late=0.25),
    "200 ms jitter": Weather(delay_s=NEAR_S, jitter_s=0.2),
    "300 kbit/s": Weather(delay_s=NEAR_S, bps=300_000),
    "address change": Weather(),
    "10 s outage": Weather(loss=1.0),
}
"""Of each direction. The address changes once, at the beginning."""
OUTAGE_S = 10.0
BACK = 0.7
"""Of the frames per second before: then a picture is back."""
STEP_S = 0.25


@dataclass(frozen=True)
class Figures:
    """Of the page that fared worse, in each."""

    fps_before: float
    fps_during: float
    fps_after: float
    back_s: float | None
    """From the end of the weather (or the change of address) until a second has enough frames;
    None: it did not come so far.
    """
    concealed: float
    """Share of the sound that was made up during the weather; after a change of address, in the
    seconds that count as it.
    """
    freezes: int
    freeze_s: float


async def weather(
    met: Meeting, name: str, *, before_s: float, during_s: float, after_s: float
) -> Figures:
    """Lets `name` come over a call that runs, and passes."""
    await asyncio.sleep(before_s)
    began = time.time()
    if name == "address change":
        met.networks.forgets()
        ended = began
    else:
        met.networks.weather = WEATHERS[name]
    await asyncio.sleep(during_s)
    met.networks.weather = Weather()
    if name != "address change":
        ended = time.time()
    until = time.time()
    await asyncio.sleep(after_s)
    times = began - before_s, began, until, time.time()
    both = [await _seen(talker, times, ended) for talker in (met.alice, met.bob)]
    return _worse(*both)


async def _seen(talker: Talker, times: tuple[float, float, float, float], ended: float) -> Figures:
    samples = Samples(await talker.samples())
    first, began, until, last = times
    before = samples.rate("frames", first, began)
    counted = samples.change("samples", began, until)
    concealed = samples.change("concealed", began, until)
    return Figures(
        fps_before=before,
        fps_during=samples.rate("frames", began, until),
        fps_after=samples.rate("frames", max(until, last - 3.0), last),
        back_s=samples.back(ended, last, BACK * before),
        concealed=concealed / counted if counted else 1.0,
        freezes=round(samples.change("freezes", began, last)),
        freeze_s=samples.change("freeze_s", began, last),
    )


def _worse(one: Figures, other: Figures) -> Figures:
    lives = [figures.back_s for figures in (one, other)]
    return Figures(
        min(one.fps_before, other.fps_before),
        min(one.fps_during, other.fps_during),
        min(one.fps_after, other.fps_after),
        None if None in lives else max(life for life in lives if life is not None),
        max(one.concealed, other.concealed),
        max(one.freezes, other.freezes),
        max(one.freeze_s, other.freeze_s),
    )


class Samples:
    """A page's totals, four times a second."""

    def __init__(self, found: list[dict[str, float]]) -> None:
        self._found = found

    def at(self, name: str, when: float) -> float:
        """Between two samples, on the line."""
        before = None
        for sample in self._found:
            if sample["at"] / 1000 >= when:
                if before is None:
                    return sample[name]
                span = sample["at"] - before["at"] or 1.0
                share = (when * 1000 - before["at"]) / span
                return before[name] + share * (sample[name] - before[name])
            before = sample
        return before[name] if before is not None else 0.0

    def change(self, name: str, begin: float, end: float) -> float:
        return self.at(name, end) - self.at(name, begin)

    def rate(self, name: str, begin: float, end: float) -> float:
        return self.change(name, begin, end) / max(end - begin, 0.001)

    def back(self, begin: float, end: float, wanted: float) -> float | None:
        """When the first second with so many frames a second began, counted from `begin`; a
        standstill that follows within two seconds takes it back.
        """
        steps = int((end - begin - 1.0) / STEP_S)
        found: float | None = None
        for step in range(max(steps, 0) + 1):
            at = begin + step * STEP_S
            good = self.rate("frames", at, at + 1.0) >= wanted
            if good and found is None:
                found = step * STEP_S
            elif not good and found is not None and step * STEP_S - found < 2.0:
                found = None
        return found
