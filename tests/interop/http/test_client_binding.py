"""What programs are told of their host, and what people do with the links made of it."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tenuto.engine.program import HttpRequest, HttpResponse
from tenuto.http.durable_functions.client_binding import client_binding
from tests.interop.http.conftest import binding_of
from tests.interop.http.native_app import native_app
from tests.interop.http.package_client import Calls, PackageClient, package_client
from tests.support.foreign_program import ForeignHttpFunction, ForeignProgram
from tests.support.http_server import ADMIN_KEY, KEYS, READ_KEY, Serving, serving

BASE = "https://flows.example.com/below"
RPC = "http://127.0.0.1:7071/durabletask/token/"
MOUNT = f"{BASE}/runtime/webhooks/durabletask"


def made(code: str = "") -> dict[str, Any]:
    text = client_binding(address=BASE, rpc_base_url=RPC, task_hub="My Hub", code=code)
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_the_binding_has_what_both_packages_read() -> None:
    found = made()
    assert found["taskHubName"] == "My Hub"
    assert found["rpcBaseUrl"] == RPC
    assert found["baseUrl"] == MOUNT
    assert found["requiredQueryStringParameters"] == ""
    assert found["connectionName"] is found["httpBaseUrl"] is None
    hub = "taskHub=My%20Hub&connection=Storage"
    one = f"{MOUNT}/instances/INSTANCEID"
    assert found["managementUrls"] == {
        "id": "INSTANCEID",
        "statusQueryGetUri": f"{one}?{hub}",
        "sendEventPostUri": f"{one}/raiseEvent/{{eventName}}?{hub}",
        "terminatePostUri": f"{one}/terminate?reason={{text}}&{hub}",
        "rewindPostUri": f"{one}/rewind?reason={{text}}&{hub}",
        "purgeHistoryDeleteUri": f"{one}?{hub}",
        "restartPostUri": f"{one}/restart?{hub}",
        "suspendPostUri": f"{one}/suspend?reason={{text}}&{hub}",
        "resumePostUri": f"{one}/resume?reason={{text}}&{hub}",
    }
    start = f"{MOUNT}/orchestrators/{{functionName}}[/{{instanceId}}]"
    wait = "timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}"
    assert found["creationUrls"] == {
        "createNewInstancePostUri": start,
        "createAndWaitOnNewInstancePostUri": f"{start}?{wait}",
    }


def test_a_code_stands_in_all_links_but_the_one_that_purges() -> None:
    found = made("s1.a b")
    assert found["requiredQueryStringParameters"] == "code=s1.a%20b"
    links = {**found["managementUrls"], **found["creationUrls"]}
    without = {name for name, link in links.items() if "code=s1.a%20b" not in link}
    assert without == {"id", "purgeHistoryDeleteUri"}


# --- links of a program in the hands of people ----------------------------------------------------


@pytest.fixture(params=["python", "javascript"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[PackageClient]:
    async with package_client(request.param) as found:
        yield found


async def links_of(serve: Serving, client: PackageClient, instance_id: str) -> dict[str, str]:
    """What a function answers who starts an instance, as the package makes it."""
    await client.take(binding_of(serve))
    calls = Calls(client)
    await calls.start("waits", instance_id=instance_id)
    answer = await calls.check_status(f"{serve.url}/api/start", instance_id)
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    links = answer["body"]
    assert answer["status"] == 202
    assert headers["location"] == links["statusQueryGetUri"]
    assert headers["retry-after"] == "10"
    assert links["id"] == instance_id
    assert "INSTANCEID" not in json.dumps(links)
    return {str(name): str(link) for name, link in links.items()}


async def follow(links: dict[str, str]) -> list[int]:
    """Use the links with nothing else in hand, as from a page or an e-mail."""
    async with httpx2.AsyncClient() as http:
        return [
            (await http.get(links["statusQueryGetUri"])).status_code,
            (await http.post(links["suspendPostUri"].replace("{text}", "a"))).status_code,
            (await http.post(links["resumePostUri"].replace("{text}", "b"))).status_code,
            (await http.post(links["rewindPostUri"].replace("{text}", "c"))).status_code,
            (
                await http.post(links["sendEventPostUri"].replace("{eventName}", "Go"), json=1)
            ).status_code,
            (
                await http.post(links["restartPostUri"] + "&restartWithNewInstanceId=false")
            ).status_code,
            (await http.post(links["terminatePostUri"].replace("{text}", "d"))).status_code,
            (await http.delete(links["purgeHistoryDeleteUri"])).status_code,
        ]


async def test_links_work_on_a_server_without_keys(client: PackageClient) -> None:
    async with serving(native_app()) as serve:
        links = await links_of(serve, client, "one")
        assert "code=" not in json.dumps(links)
        assert await follow(links) == [202, 202, 202, 501, 202, 202, 202, 200]


async def test_links_work_on_a_server_with_keys_but_do_not_purge(client: PackageClient) -> None:
    async with serving(native_app(), keys=KEYS) as serve:
        links = await links_of(serve, client, "one")
        assert await follow(links) == [202, 202, 202, 501, 202, 202, 202, 401]


async def test_links_have_the_address_at_which_the_caller_came(client: PackageClient) -> None:
    async with serving(native_app()) as serve:
        await client.take(binding_of(serve))
        answer = await Calls(client).check_status("https://public.example/api/start?a=1", "one")
        for name, link in answer["body"].items():
            if name != "id":
                assert link.startswith("https://public.example/runtime/webhooks/durabletask/")


async def test_a_package_without_the_mount_gets_by_with_links() -> None:
    async with serving(native_app(), keys=KEYS) as serve, package_client("javascript") as client:
        binding = json.loads(binding_of(serve))
        del binding["rpcBaseUrl"]
        await client.take(json.dumps(binding))
        calls = Calls(client)
        assert await calls.start("waits", instance_id="one") == "one"
        assert (await calls.status("one"))["runtimeStatus"] == "Running"
        await calls.raise_event("one", "Go", {"a": 1})
        assert (await calls.wait_or_check(f"{serve.url}/api/x", "one", 2_000))["body"] == {"a": 1}


async def test_how_an_instance_has_ended_is_waited_for(client: PackageClient) -> None:
    async with serving(native_app()) as serve:
        await client.take(binding_of(serve))
        calls = Calls(client)
        for name in ("hello", "fails", "waits"):
            await calls.start(name, instance_id=name)
        await serve.ended("hello")
        await serve.ended("fails")
        url = f"{serve.url}/api/start"
        answers = [await calls.wait_or_check(url, name, 5) for name in ("hello", "fails", "waits")]
        assert [one["status"] for one in answers] == [200, 500, 202]
        assert answers[1]["body"]["runtimeStatus"] == "Failed"
        assert answers[2]["body"]["id"] == "waits"
        await calls.tell("terminate", "waits", "enough")
        ended = await calls.wait_or_check(url, "waits", 5)
        assert (ended["status"], ended["body"]["output"]) == (200, "enough")


# --- the system key -------------------------------------------------------------------------------


def code_of(serve: Serving) -> str:
    found = re.fullmatch(
        r"code=(s1\..{43})", json.loads(binding_of(serve))["requiredQueryStringParameters"]
    )
    assert found is not None
    return found[1]


async def test_the_system_key_opens_instances_and_nothing_else() -> None:
    async with serving(native_app(), keys=KEYS) as serve:
        code = {"x-functions-key": code_of(serve)}
        started = await serve.start("waits", instance_id="one", headers=code)
        assert started.status_code == 202
        mount = "/runtime/webhooks/durabletask/instances"
        assert (await serve.http.get(mount, headers=code)).status_code == 200
        assert (await serve.http.delete(f"{mount}/one", headers=code)).status_code == 403
        for path in ("/admin/instances", "/admin/functions", "/openapi.json", "/metrics"):
            assert (await serve.http.get(path, headers=code)).status_code == 401


async def test_the_system_key_dies_with_the_keys() -> None:
    codes = []
    for keys in (KEYS, {"admin": KEYS["admin"]}):
        async with serving(native_app(), keys=keys) as serve:
            codes.append(code_of(serve))
    assert codes[0] != codes[1]


async def test_who_may_only_look_does_not_see_the_system_key() -> None:
    async with serving(native_app(), keys=KEYS) as serve:
        code = code_of(serve)
        admin, reader = {"x-functions-key": ADMIN_KEY}, {"x-functions-key": READ_KEY}
        links = {"statusQueryGetUri": f"https://x/y?code={code}"}
        await serve.start("hello", links, instance_id="one", headers=admin)
        await serve.server.host.client.wait("one")
        path = "/runtime/webhooks/durabletask/instances/one?showHistory=true"
        assert code in (await serve.http.get(path, headers=admin)).text
        seen = (await serve.http.get(path, headers=reader)).text
        assert code not in seen
        assert "https://x/y?code=***" in seen


async def test_who_has_a_link_does_not_read_the_system_key_through_it() -> None:
    """Starters give links to activities that send e-mails: they stand in inputs and history."""
    async with serving(native_app(), keys=KEYS) as serve:
        code = code_of(serve)
        admin = {"x-functions-key": ADMIN_KEY}
        links = {"sendEventPostUri": f"https://x/y?code={code}"}
        started = await serve.start("hello", links, instance_id="one", headers=admin)
        await serve.server.host.client.wait("one")
        link = started.json()["statusQueryGetUri"]
        seen = (await serve.http.get(f"{link}&showInput=true&showHistory=true")).text
        assert code not in seen
        assert "https://x/y?code=***" in seen


# --- on their way out -----------------------------------------------------------------------------


def answering(found: dict[str, Any], **more: Any) -> ForeignProgram:
    """A program that answers with what a test has put together."""

    async def answer(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=202, headers=found["headers"], body=found["body"])

    function = ForeignHttpFunction(name="start", function=answer, route="start", **more)
    return ForeignProgram({}, http=[function])


@pytest.mark.parametrize("instance_id", ["one", "one two", "Zoë's", "a&b=c"])
async def test_a_link_that_a_function_answers_opens_its_instance_alone(
    client: PackageClient, instance_id: str
) -> None:
    found: dict[str, Any] = {}
    async with serving([native_app(), answering(found)], keys=KEYS) as serve:
        links = await links_of(serve, client, instance_id)
        await Calls(client).start("waits", instance_id="other")
        found["headers"] = [("Location", links["statusQueryGetUri"])]
        found["body"] = json.dumps(links).encode()  # with letters quoted, as Python has it
        answer = await serve.http.get("/api/start")
        code = code_of(serve)
        assert code in json.dumps(links)
        assert code not in f"{answer.text} {answer.headers}"
        narrowed = answer.json()
        assert narrowed.keys() == links.keys()
        assert answer.headers["location"].partition("code=l1.o.")[1]
        other = {name: link.replace(instance_id, "other") for name, link in narrowed.items()}
        assert (await follow(other))[:3] == [401, 401, 401]
        assert await follow(narrowed) == [202, 202, 202, 501, 202, 202, 202, 401]


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
async def test_links_in_an_answer_that_comes_in_pieces_are_narrowed_too(
    client: PackageClient, size: int
) -> None:
    found: dict[str, Any] = {"headers": []}
    async with serving([native_app(), streaming(found)], keys=KEYS) as serve:
        links = await links_of(serve, client, "one")
        text = f"{json.dumps(links)} {links['statusQueryGetUri']}".encode()
        found["pieces"] = [text[at : at + size] for at in range(0, len(text), size)]
        answer = await serve.http.get("/api/start")
        assert code_of(serve) in text.decode()
        assert code_of(serve) not in answer.text
        assert answer.text.count("code=l1.o.") == text.decode().count("code=")
        narrowed = json.loads(answer.text[: answer.text.rindex("}") + 1])
        assert narrowed.keys() == links.keys()


async def test_pieces_go_out_at_once_unless_a_link_may_go_on() -> None:
    found: dict[str, Any] = {"headers": []}
    async with serving(streaming(found), keys=KEYS) as serve:
        found["pieces"] = [
            b"data: one\n\n",
            b"to /runtime/web",
            b"site",
            b"/runtime/webhooks/durab",
        ]
        async with serve.http.stream("GET", "/api/start") as answer:
            pieces = [piece async for piece in answer.aiter_raw()]
        # In what order they come together is the network's affair; nothing is lost.
        assert b"".join(pieces) == b"".join(found["pieces"])
        assert pieces[0].startswith(b"data: one\n\n")


def streaming(found: dict[str, Any]) -> ForeignProgram:
    """A program that answers with pieces that a test has made."""

    async def pieces() -> AsyncIterator[bytes]:
        for piece in found["pieces"]:
            yield piece

    async def answer(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=202, headers=found["headers"], body=pieces())

    function = ForeignHttpFunction(name="start", function=answer, route="start")
    return ForeignProgram({}, http=[function])


async def test_elsewhere_the_system_key_is_hidden() -> None:
    found: dict[str, Any] = {"headers": []}
    async with serving(answering(found), keys=KEYS) as serve:
        code = code_of(serve)
        mount = f"{serve.url}/runtime/webhooks/durabletask"
        other = f"{code} {mount}/orchestrators/hello?code={code} https://x/instances/a?code={code}"
        html = f"<a href='{mount}/instances/a?b=c&amp;code={code}'>"
        other += f" {mount}/instances/a\\tx?code={code}"  # no id has that
        found["body"] = f"{other} {html}".encode()
        found["headers"] = [("x-links", other)]
        answer = await serve.http.get("/api/start")
        hidden = other.replace(code, "***")
        assert answer.text.startswith(f"{hidden} <a href='{mount}/instances/a?b=c&amp;code=l1.o.")
        assert answer.headers["x-links"] == hidden


async def test_without_keys_nothing_is_looked_for() -> None:
    found: dict[str, Any] = {"headers": [], "body": b"/instances/a?code="}
    async with serving(answering(found)) as serve:
        assert (await serve.http.get("/api/start")).content == b"/instances/a?code="
