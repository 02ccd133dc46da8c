"""The pytest plugin, as a user's own suite loads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from grove_operator.engine.whatif.documents import InputError
from grove_operator.testing import Fits, fits
from tests.unit.whatif.manifests import clique_set, node

__all__ = ["fits"]


def test_a_set_that_fits_is_true_and_tells_where(fits: Fits) -> None:
    done = fits(clique_set("web"), [node("a", 1), node("b", 1)])
    assert done
    assert done.nodes == {"web-0-w-0": "a", "web-0-w-1": "b"}
    assert done.why == []


def test_one_that_does_not_is_false_and_says_why(fits: Fits) -> None:
    done = fits(clique_set("web", 3), [node("a", 1), node("b", 1)])
    assert not done
    assert "ns/web-0: podgang web-0 needs 3 pods" in repr(done)


def test_paths_directories_and_mixtures_are_taken(fits: Fits, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(node("a", 1)))
    web = tmp_path / "web.yaml"
    web.write_text(yaml.safe_dump(clique_set("web")))
    assert not fits(web, tmp_path)
    assert fits(str(web), [tmp_path / "a.yaml", node("b", 1)])


def test_a_manifest_that_admission_refuses_is_an_error(fits: Fits) -> None:
    with pytest.raises(InputError, match="minAvailable"):
        fits(clique_set("web", minAvailable=7), node("a", 1))


def test_a_failing_assertion_shows_the_reasons(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest('pytest_plugins = ["grove_operator.testing"]')
    pytester.makefile(".yaml", web=yaml.safe_dump(clique_set("web", 3)), there=yaml.safe_dump(node("a", 1)))
    pytester.makepyfile("def test_it(fits):\n    assert fits('web.yaml', 'there.yaml')\n")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*it does not fit:*", "*podgang web-0 needs 3 pods*short of 2 nvidia.com/gpu*"])
