"""The order of the services of a sweep: no address and no user is crowded, and nobody starves."""

from __future__ import annotations

import pytest

from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.report import Address
from check_pop3_plus.model.settings import Settings
from check_pop3_plus.sweep import task_queue
from check_pop3_plus.sweep.services import Builder, Service
from check_pop3_plus.sweep.task_queue import AddressBusy, Task, TaskQueue


def queue_of(*sections: str, limit: int = 1) -> TaskQueue:
    """Return a queue of services, each `NAME ADDRESS` or `NAME ADDRESS USER`."""
    services = []
    for section in sections:
        name, address, *user = section.split()
        keys = [("connect-to", address)]
        for each in user:
            keys += [("username", each), ("password-env", "X"), ("allow-insecure-login", "")]
        services.append(Service(f"{name}!x", keys))
    return TaskQueue(services, limit)


def due(queue: TaskQueue) -> Task:
    task = queue.next()
    assert task
    return task


def all_due(queue: TaskQueue) -> str:
    """Return the names of all services that are due now."""
    return " ".join(task.service.host for task in iter(queue.next, None))


def admit(queue: TaskQueue, task: Task, *addresses: str) -> None:
    assert isinstance(task.settings, Settings)
    queue.admit(task, task.settings, [Address(each, 110) for each in addresses])


def test_next_passes_a_busy_address_and_comes_back_to_it_first() -> None:
    """Those that waited longest are the first; then all others, in the order of the file."""
    queue = queue_of("a one", "b ONE", "c one", "d two", "e three")
    assert queue.is_waiting()
    assert not queue.is_parked()

    first = due(queue)
    assert due(queue).service.host == "d"
    assert queue.is_parked()
    assert queue.is_waiting()

    queue.leave(first)
    assert all_due(queue) == "b e"
    assert queue.is_parked()
    assert not queue.is_waiting()


def test_next_of_large_sweep_goes_through_the_whole_file_each_time() -> None:
    """Neighbours, which may all be down, are not checked together; no service is left out."""
    names = [f"s{number}" for number in range(1000)]
    order = all_due(queue_of(*(f"{name} {name}" for name in names))).split()

    assert sorted(order) == sorted(names)
    assert order[:3] == ["s0", "s15", "s30"]
    assert {names.index(name) // 100 for name in order[:67]} == set(range(10))


def test_next_after_the_last_has_left_is_none() -> None:
    """The queue is empty, and its slots are free."""
    queue = queue_of("a one", "b one")
    for name in ("a", "b"):
        task = due(queue)
        assert task.service.host == name
        queue.leave(task)

    assert queue.next() is None
    assert not queue.is_waiting()
    assert not queue.is_parked()


@pytest.mark.parametrize(
    ("sections", "limit", "names"),
    [
        (("a one", "b one", "c one"), 2, "a b"),
        (("a one u", "b one U", "c one v", "d two u"), 9, "a c d"),
        (("a one u", "b one", "c one"), 2, "a b"),
        (("a one", "b ?", "c ?", "d one"), 1, "a b c"),
    ],
    ids=["checks", "users", "both", "invalid"],
)
def test_next_keeps_the_limits(sections: tuple[str, ...], limit: int, names: str) -> None:
    """A user has one login at an address; an invalid section has no address."""
    assert all_due(queue_of(*sections, limit=limit)) == names


def test_put_back_is_at_once_or_the_last() -> None:
    """What lacked resources comes after all others."""
    queue = queue_of("a one", "b two", "c three")
    a, b = due(queue), due(queue)
    queue.put_back(a, is_due=False)
    queue.put_back(b, is_due=True)

    assert all_due(queue) == "c b a"


def test_admit_refuses_the_second_name_of_a_busy_address() -> None:
    """It waits with its addresses known, takes nothing meanwhile, and is woken."""
    queue = queue_of("a one", "b Two", "c 192.0.2.2")
    a, b = due(queue), due(queue)
    admit(queue, a, "192.0.2.1")
    with pytest.raises(AddressBusy):
        admit(queue, b, "192.0.2.2", "192.0.2.1")
    queue.put_back(b, is_due=True)

    assert all_due(queue) == "c"
    assert queue.is_parked()
    queue.leave(a)
    assert queue.next() is None  # now it waits for the other address


def test_service_that_waits_for_another_address_wakes_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise nobody would wake it, as long as the freed address stays free."""
    monkeypatch.setattr(task_queue, "_READ_AHEAD", 1)
    queue = queue_of("a 192.0.2.1", "b two", "c 192.0.2.1", "d 192.0.2.2")
    a, b = due(queue), due(queue)
    with pytest.raises(AddressBusy):
        admit(queue, b, "192.0.2.1", "192.0.2.2")
    queue.put_back(b, is_due=True)
    assert [queue.next(), queue.next()] == [None, None]  # both wait for the first address
    d = due(queue)

    queue.leave(a)
    c = due(queue)
    assert c.service.host == "c"
    assert b.waited_for == "192.0.2.2"

    queue.leave(d)
    assert queue.next() is None
    queue.leave(c)
    assert all_due(queue) == "b"


def test_admit_of_a_retry_exceeds_the_limit() -> None:
    """A check that has opened a connection goes on; put back, it is like any other."""
    queue = queue_of("a one", "b 192.0.2.2")
    a, b = due(queue), due(queue)
    admit(queue, a, "192.0.2.1")
    admit(queue, a, "192.0.2.1", "192.0.2.2")
    queue.put_back(a, is_due=True)
    assert queue.next() is None

    with pytest.raises(AddressBusy):
        admit(queue, a, "192.0.2.2")
    queue.leave(b)
    assert all_due(queue) == "a"


def test_next_reads_ahead_and_keeps_what_it_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A section that memory does not suffice for is read again later, and no other twice."""
    read: list[str] = []
    settings_of = Builder.settings_of

    def limited(builder: Builder, service: Service) -> Settings | ProbeError:
        read.append(service.host)
        if read == ["a", "b", "c"]:
            raise MemoryError
        return settings_of(builder, service)

    monkeypatch.setattr(Builder, "settings_of", limited)
    monkeypatch.setattr(task_queue, "_READ_AHEAD", 4)
    queue = queue_of(*(f"{name} {name}" for name in "abcdefg"))
    with pytest.raises(MemoryError):
        queue.next()
    assert all_due(queue) == "a b c d e f g"
    assert read == [*"abc", *"cdefg"]

    task = queue_of("a one")
    first = due(task)
    task.put_back(first, is_due=False)
    assert due(task) is first
    assert read[-2:] == ["g", "a"]
