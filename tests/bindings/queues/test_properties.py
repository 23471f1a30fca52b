"""Whatever handlers and processes do: nothing is lost, nothing acked comes again, nothing is retried too often."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bindings.queues.world import in_queues
from wrangler_py.config.model import ConsumerConfig

ACTS = ("ack", "retry", "nothing", "raise", "hang")
PLANS = st.lists(st.lists(st.sampled_from(ACTS), min_size=1, max_size=6), min_size=1, max_size=12)
CONFIGS = st.builds(
    ConsumerConfig,
    queue=st.just("q"),
    max_batch_size=st.integers(1, 5),
    max_batch_timeout=st.integers(0, 3),
    max_retries=st.integers(0, 4),
    max_concurrency=st.integers(1, 3),
    dead_letter_queue=st.just("dead"),
    retry_delay=st.integers(0, 5),
)
#: Seconds until a process is killed.
CRASHES = st.lists(st.floats(0, 12), max_size=4)


class Worker:
    """Does with each message what its plan says for this delivery; the last act repeats."""

    def __init__(self, plans):
        self.plans = plans
        self.deliveries = Counter()
        #: What was acked for sure, and what may have been: a process may die between the call and the disk.
        self.acked, self.asked = Counter(), set()
        self.dead = []
        self.in_hand = set()
        self.hangs = True

    def act_of(self, number, attempt):
        plan = self.plans[number]
        return plan[min(attempt, len(plan)) - 1]

    async def __call__(self, batch):
        if batch.queue == "dead":
            self.dead += [message.body for message in batch.messages]
            return
        numbers = {message.body for message in batch.messages}
        assert not numbers & self.in_hand, "a message was delivered to two handlers at a time"
        self.in_hand |= numbers
        try:
            await self.handle(batch)
        finally:
            self.in_hand -= numbers

    async def handle(self, batch):
        acts = {message.body: self.act_of(message.body, message.attempts) for message in batch.messages}
        for message in batch.messages:
            self.deliveries[message.body] += 1
            assert not self.acked[message.body], "an acked message was delivered again"
            if acts[message.body] in ("ack", "retry"):
                getattr(message, acts[message.body])()
            if acts[message.body] == "ack":
                self.asked.add(message.body)
        # An explicit ack counts from the next turn on, whatever happens then.
        await asyncio.sleep(0.001)
        self.acked.update(number for number, act in acts.items() if act == "ack")
        if "hang" in acts.values() and self.hangs:
            await asyncio.sleep(4)
        await asyncio.sleep(0.5)
        if "raise" in acts.values():
            raise RuntimeError("as planned")
        self.acked.update(number for number, act in acts.items() if act in ("nothing", "hang"))


@settings(max_examples=120)
@given(plans=PLANS, config=CONFIGS, crashes=CRASHES)
def test_every_message_is_acked_once_or_ends_as_a_dead_letter(plans, config, crashes):
    worker = Worker(plans)

    async def body(world):
        await world.producer().sendBatch([{"body": number} for number in range(len(plans))])
        await world.consume(worker, config)
        for wait in crashes:
            await asyncio.sleep(wait)
            await world.crash()
            worker.in_hand.clear()
            await world.consume(worker, config)
        await asyncio.sleep(2000)
        await world.drain()
        await world.consume(worker, ConsumerConfig("dead", max_batch_timeout=0))
        await asyncio.sleep(10)
        return world.left() + world.left("dead")

    with tempfile.TemporaryDirectory() as folder:
        assert in_queues(Path(folder), body) == 0
    ended = Counter(worker.dead)
    for number in range(len(plans)):
        assert ended[number] <= 1, "dead once"
        assert not (worker.acked[number] and ended[number]), "not acked and dead"
        assert worker.acked[number] or number in worker.asked or ended[number], "acked or dead: not lost"
        assert worker.deliveries[number] <= config.max_retries + 1
        # A process may die between taking a message and calling the handler: that was an attempt too.
        if ended[number]:
            assert worker.deliveries[number] + len(crashes) > config.max_retries
        if ended[number] and not crashes:
            assert worker.deliveries[number] == config.max_retries + 1
