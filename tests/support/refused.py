"""Events that were refused because they did not fit what their waiter asked for."""

from tenuto.testing import TestHost


async def refused_events(test: TestHost, instance_id: str) -> list[tuple[str, object]]:
    """Why, and with which data, oldest first; that the host complained of each is settled."""
    await test.idle()
    letters = [
        letter for letter in await test.client.dead_letters() if letter.instance_id == instance_id
    ][::-1]
    for letter in letters:
        test.problems.remove((instance_id, f"dead letter: {letter.reason}"))
    return [(letter.reason, letter.data) for letter in letters]
