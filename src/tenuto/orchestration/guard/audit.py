"""Effects on the world: refused inside sessions by an audit hook.

The interpreter tells an audit hook of files, sockets, processes and threads before it touches them,
whichever library asked. A hook cannot be removed and hears of everything in the process, so this
one first asks what costs least: whether the event is one of ours.
"""

import sys
import zoneinfo
from asyncio.events import _get_running_loop as running_loop
from typing import Final

from tenuto.orchestration.guard.names import PAUSE
from tenuto.orchestration.guard.refusal import refuse
from tenuto.orchestration.loop import SessionLoop

_REPEATED: Final = (
    "it would happen again at each replay; do it in an activity: await ctx.call_activity(...)"
)
_THREAD: Final = (
    "what a thread does cannot be replayed; use an activity: await ctx.call_activity(...)"
)
_INPUT: Final = (
    "nobody answers at a replay; wait for an event: await ctx.wait_for_external_event(...)"
)

_FILES: Final = (
    *("open", "mmap.__new__", "sqlite3.connect", "tempfile.mkdtemp", "tempfile.mkstemp"),
    *("os.chflags", "os.chmod", "os.chown", "os.getxattr", "os.link", "os.listdir"),
    *("os.listdrives", "os.listmounts", "os.listvolumes", "os.listxattr", "os.lockf", "os.mkdir"),
    *("os.remove", "os.removexattr", "os.rename", "os.rmdir", "os.scandir", "os.setxattr"),
    *("os.symlink", "os.truncate", "os.utime", "os.walk", "os.fwalk", "fcntl.fcntl"),
    *("fcntl.flock", "fcntl.ioctl", "fcntl.lockf", "msvcrt.locking", "msvcrt.open_osfhandle"),
    *("glob.glob", "glob.glob/2", "pathlib.Path.glob", "pathlib.Path.rglob"),
    *("shutil.chown", "shutil.copyfile", "shutil.copymode", "shutil.copystat", "shutil.copytree"),
    *("shutil.make_archive", "shutil.move", "shutil.rmtree", "shutil.unpack_archive"),
)
_NETWORK: Final = (
    *("socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo"),
    *("socket.gethostbyaddr", "socket.gethostbyname", "socket.gethostname"),
    *("socket.getnameinfo", "socket.getservbyname", "socket.getservbyport", "socket.sendmsg"),
    *("socket.sendto", "socket.sethostname", "urllib.Request", "http.client.connect"),
    *("http.client.send", "ftplib.connect", "ftplib.sendcmd", "imaplib.open", "imaplib.send"),
    *("poplib.connect", "poplib.putline", "smtplib.connect", "smtplib.send", "syslog.syslog"),
    "webbrowser.open",
)
_PROCESSES: Final = (
    *("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
    *("os.startfile", "os.startfile/2", "os.system", "pty.spawn", "os.kill", "os.killpg"),
    *("signal.pthread_kill", "os.chdir", "os.putenv", "os.unsetenv", "resource.setrlimit"),
    *("resource.prlimit", "_winapi.CreateProcess", "_winapi.TerminateProcess"),
)

REFUSED_EVENTS: Final[dict[str, str]] = {
    **dict.fromkeys((*_FILES, *_NETWORK, *_PROCESSES), _REPEATED),
    **dict.fromkeys(("_thread.start_new_thread", "_thread.start_joinable_thread"), _THREAD),
    "builtins.input": _INPUT,
    # Told of since Python 3.13, also when sleep was imported by name.
    "time.sleep": f"{PAUSE}; use await asyncio.sleep(...) or ctx.create_timer(...)",
}
"""Audit events that no orchestrator may cause, and what it is told."""


def guard_effects() -> None:
    """Listen from now on; there is no way back."""
    sys.addaudithook(audit)


def audit(event: str, args: tuple[object, ...]) -> None:
    """The hook: called for every audit event of the process."""
    if event in REFUSED_EVENTS and type(running_loop()) is SessionLoop:
        _refuse_event(event, args)
    elif event == "sys.unraisablehook" and type(running_loop()) is SessionLoop:
        _expect_to_be_shown(args)


def _refuse_event(event: str, args: tuple[object, ...]) -> None:
    loop = running_loop()
    assert isinstance(loop, SessionLoop)
    what = event
    if event == "open":
        if _is_time_zone(args[0]) or _is_being_shown(args[0]):
            return
        what = f"open({args[0]!r})"
    # Two callers away: the hook, then whoever caused the event.
    refuse(loop, what, REFUSED_EVENTS[event], sys._getframe(2))  # noqa: SLF001 - names the line


_shown: Final[set[str]] = set()
"""Source files of the last error that nobody could catch, such as one in a ``__del__``."""


def _expect_to_be_shown(args: tuple[object, ...]) -> None:
    """The interpreter is about to print an error, and reads the lines of its traceback for that.

    It does so in C, in the name of whoever dropped the last reference to the object.
    """
    _shown.clear()
    link = getattr(args[1], "exc_traceback", None)
    while link is not None:
        _shown.add(_last_part(link.tb_frame.f_code.co_filename))
        link = link.tb_next


def _is_being_shown(path: object) -> bool:
    # By its last part: where a file is not found, the interpreter looks for it on sys.path.
    return bool(_shown) and isinstance(path, str) and _last_part(path) in _shown


def _last_part(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _is_time_zone(path: object) -> bool:
    """Whether ZoneInfo reads its data, which C code does in the name of its caller."""
    return isinstance(path, str) and path.startswith(zoneinfo.TZPATH) and ".." not in path
