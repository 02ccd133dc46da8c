"""What a cluster looked like when a test on it failed, so that a log alone shows the cause."""

from __future__ import annotations

import subprocess

from tests.support.project import Project

LONGEST = 12_000
QUESTIONS = (
    ("get", "podcliquesets,podcliquescalinggroups,podcliques", "-A", "-o", "wide"),
    ("get", "pods", "-A", "-o", "wide"),
    (
        *("get", "podgangs", "-A", "-o"),
        r'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.status.phase}{"\n"}'
        r'{range .status.conditions[*]}  {.type}={.status} {.reason}: {.message}{"\n"}{end}{end}',
    ),
    ("get", "events", "-A", "--sort-by=.lastTimestamp", "--field-selector=type=Warning"),
    ("logs", "-n", "grove-system", "deployment/grove-operator", "--tail=60"),
    ("logs", "-n", "grove-system", "deployment/grove-scheduler", "--tail=60"),
)


def scene(project: Project) -> str:
    """Answers of kubectl, the end of each where it is long; what can't be had says why."""
    return "\n".join(f"$ kubectl {' '.join(question)}\n{_answer(project, question)}" for question in QUESTIONS)


def _answer(project: Project, question: tuple[str, ...]) -> str:
    try:
        return project.kubectl(*question)[-LONGEST:]
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        return f"({error})"
