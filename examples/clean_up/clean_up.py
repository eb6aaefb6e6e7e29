"""Deletes old temporary files of one folder, every day, for ever.

An eternal orchestration: each round is a generation of its own (continue-as-new), so that its
history never grows. Nothing outside the folder is ever touched.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from tenuto import ActivityError, App, Context

app = App()


@dataclass(frozen=True)
class CleanUp:
    folder: str
    pattern: str = "*.tmp"
    older_than: timedelta = timedelta(days=7)
    every: timedelta = timedelta(days=1)
    deleted: int = 0  # in all rounds so far

    def __post_init__(self) -> None:
        # Said at the start, before anything is done: another day the host may start elsewhere, and
        # "tmp" would be another folder.
        if not Path(self.folder).is_absolute():
            raise ValueError(f"folder {self.folder!r} must be an absolute path")


@app.activity
def delete_old_files(folder: str, pattern: str, before: datetime) -> int:
    """Delete what was last changed before a moment; running it again deletes nothing more."""
    root = Path(folder).resolve(strict=True)
    if root in (Path(root.anchor), Path.home().resolve()):
        raise ValueError(f"{root} is no folder for temporary files")
    deleted = 0
    for file in root.rglob(pattern):
        # A link, or a pattern with "..", may lead out: then the real place of the file is another.
        is_inside = file.is_file() and file.resolve() == file
        if is_inside and file.stat().st_mtime < before.timestamp():
            file.unlink(missing_ok=True)
            deleted += 1
    return deleted


@app.orchestrator
async def clean_up_for_ever(ctx: Context, job: CleanUp) -> None:
    # Computed here and handed over: an attempt that is repeated tomorrow means the same files.
    before = ctx.current_time - job.older_than
    problem = None
    try:
        deleted = await ctx.call_activity(delete_old_files, job.folder, job.pattern, before)
        job = replace(job, deleted=job.deleted + deleted)
    except ActivityError as error:
        problem = str(error.failure)  # such as a disk that is not mounted: perhaps tomorrow
    ctx.set_custom_status(
        {"deleted": job.deleted, "last round": ctx.current_time, "problem": problem}
    )
    await ctx.create_timer(job.every)
    ctx.continue_as_new(job)
