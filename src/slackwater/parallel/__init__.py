"""Independent tasks in one process, in several, or on a cluster: the same results in the same order."""

from slackwater.parallel.background import begun
from slackwater.parallel.call import TASK_NOTE
from slackwater.parallel.errors import WorkerError
from slackwater.parallel.file_tasks import FileTask, run_file_tasks
from slackwater.parallel.object_store import ObjectStore, StoredObject
from slackwater.parallel.stored_files import StoredFiles, directory_for_workers, place_of_one_run
from slackwater.parallel.tasks import (
    VARIABLE,
    chosen_cluster,
    chosen_store,
    run_here,
    run_tasks,
    say,
    use_workers,
)
from slackwater.parallel.time_left import TimeLeft

__all__ = [
    "TASK_NOTE",
    "VARIABLE",
    "FileTask",
    "ObjectStore",
    "StoredFiles",
    "StoredObject",
    "TimeLeft",
    "WorkerError",
    "begun",
    "chosen_cluster",
    "chosen_store",
    "directory_for_workers",
    "place_of_one_run",
    "run_file_tasks",
    "run_here",
    "run_tasks",
    "say",
    "use_workers",
]
