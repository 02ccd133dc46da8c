"""Rules of the design that no linter knows, read from the source itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "src" / "grove_operator"
SOURCES = sorted(PACKAGE.rglob("*.py")) + sorted((ROOT / "grove_components").rglob("*.py"))
FORBIDDEN_KOPF = {"create", "update", "delete", "field", "resume", "timer", "daemon"}
FORBIDDEN_STEMS = {"utils", "helpers", "common", "manager"}


def calls(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything that is called or used as a decorator."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (ast.unparse(d) for d in node.decorator_list)


def forbidden_kopf_uses(source: str) -> list[str]:
    uses = []
    for name in calls(ast.parse(source)):
        parts = name.split(".")
        if parts[0] != "kopf":
            continue
        if parts[1:2] == ["on"] and parts[2:3] and parts[2] in FORBIDDEN_KOPF:
            uses.append(name)
        if parts[1:2] and parts[1] in {"timer", "daemon", "index"}:
            uses.append(name)
    return uses


@pytest.mark.parametrize("path", sorted((PACKAGE / "kube").rglob("*.py")), ids=lambda p: p.name)
def test_kopf_is_used_level_triggered_only(path: Path) -> None:
    assert forbidden_kopf_uses(path.read_text()) == []


def test_the_kopf_rule_finds_what_it_forbids() -> None:
    planted = "import kopf\n@kopf.on.create('x')\ndef f(): ...\n@kopf.daemon('y')\ndef g(): ...\nkopf.index('z')\n"
    assert {"kopf.on.create", "kopf.daemon", "kopf.index"} <= set(forbidden_kopf_uses(planted))


def faults_of_a_component(source: str) -> list[str]:
    """Providers made and functions invoked in a component's module, and resources made inside `apply`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name.rpartition(".")[2] in {"Provider", "invoke", "invoke_async", "invoke_output", "call"}:
            found.append(name)
        if name.endswith(".apply"):
            inside = [ast.unparse(n.func) for part in node.args for n in ast.walk(part) if isinstance(n, ast.Call)]
            found += [f"{name}: {made}" for made in inside if made.rpartition(".")[2][:1].isupper()]
    return found


COMPONENTS = [path for path in (ROOT / "grove_components").glob("*.py") if "ComponentResource" in path.read_text()]


@pytest.mark.parametrize("path", sorted(COMPONENTS), ids=lambda p: p.name)
def test_a_component_makes_no_provider_invokes_nothing_and_makes_no_resource_inside_apply(path: Path) -> None:
    assert faults_of_a_component(path.read_text()) == []


def test_the_rule_for_components_finds_what_it_forbids() -> None:
    planted = "k8s.Provider('p')\npulumi.runtime.invoke('f', {})\nx.apply(lambda v: PodCliqueSet('a', spec=v))\n"
    assert faults_of_a_component(planted) == ["k8s.Provider", "pulumi.runtime.invoke", "x.apply: PodCliqueSet"]
    assert len(COMPONENTS) >= 6


def test_the_operator_folder_never_hides_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path.name} has no module docstring"
    assert path.stem not in FORBIDDEN_STEMS, f"{path.name}: name it after what it does"


def test_every_cli_verb_has_its_own_module_and_an_example_in_its_help() -> None:
    from click.testing import CliRunner

    from grove_operator.cli.main import VERBS, cli

    for verb in VERBS:
        result = CliRunner().invoke(cli, [verb, "--help"])
        assert result.exit_code == 0, f"grove {verb} --help: {result.output}"
        assert "Example" in result.output, f"grove {verb} --help shows no example"


def test_no_file_names_this_machine_or_a_registry() -> None:
    hosts = re.compile("|".join(["py" + "pi.org", "python" + "hosted.org", "proxy.go" + "lang.org"]))
    found = [
        str(path.relative_to(ROOT))
        for folder in ("operator", "grove_components", "toolchain", "stacks", "examples", "docs", "requirements")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        and path.suffix in {".py", ".md", ".yaml", ".toml", ".txt", ".in", ".sh", ".mod", ".sum"}
        and hosts.search(path.read_text())
    ]
    assert found == []


OWN_KEY = re.compile(r"(^|[^a-z.])(scheduling\.)?grove\.io/|^GROVE_(PCS|PCLQ|PCSG|HEADLESS)[A-Z_]*$")


def spelled_keys(source: str) -> list[str]:
    """String literals (docstrings aside) that spell a label, annotation, finalizer or pod variable of Grove's."""
    tree = ast.parse(source)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    texts = (
        n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in docs
    )
    return [node.value for node in texts if OWN_KEY.search(node.value)]


@pytest.mark.parametrize(
    "path",
    [
        path for path in SOURCES if not {"api", "initc", "invariants"} & set(path.relative_to(ROOT).parts)
    ],  # initc has the standard library alone, the invariants share no word with what they judge
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_labels_annotations_and_variables_are_spelled_in_api_alone(path: Path) -> None:
    assert [key for key in spelled_keys(path.read_text()) if not key.startswith("grove.io/v1")] == []


def test_the_rule_of_spelled_keys_finds_what_it_forbids() -> None:
    planted = (
        '"""grove.io/doc"""\nA = "grove.io/podgang"\nB = f"metadata.labels[\'grove.io/x\']"\nC = "GROVE_PCS_NAME"\n'
    )
    assert len(spelled_keys(planted)) == 3
