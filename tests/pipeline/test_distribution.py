"""Wheel and source archive, each installed into an environment of its own that has nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from numba.core.caching import UserProvidedCacheLocator

from pipelines._closure import ROOT
from pipelines._sbom import bill_of_materials
from slackwater import __version__
from slackwater.errors import SchemaError
from slackwater.storage import write_tables
from tests.checkout import kernels_of
from tests.small_bundle import market


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` builds, without the isolation that would need a network."""
    place = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(place)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place


def installed(package: Path, root: Path) -> Path:
    """Install a package without its dependencies, which a path file borrows from this environment; return its `bin`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True)
    (site,) = root.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "--python", str(root / "bin/python"), "install", *options, str(package)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False, env=clean(root))
    assert done.returncode == 0, done.stderr
    take_kernels_over(site, root / "kernels")
    return root / "bin"


def clean(root: Path) -> dict[str, str]:
    """The environment without the sources of the checkout, and with a cache of kernels of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | {"NUMBA_CACHE_DIR": str(root / "kernels")}


def take_kernels_over(site: Path, cache: Path) -> None:
    """Give the installed modules the kernels of the checkout: numba finds them by place and time of the file."""
    cache.mkdir()
    for module in (site / "slackwater").rglob("*.py"):
        source = ROOT / "src" / module.relative_to(site)
        assert module.read_bytes() == source.read_bytes(), module
        os.utime(module, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
        own = cache / UserProvidedCacheLocator.get_suitable_cache_subpath(str(module))
        kernels = kernels_of(ROOT, source.parent.relative_to(ROOT))
        if kernels.is_dir() and not own.exists():
            shutil.copytree(kernels, own, ignore=shutil.ignore_patterns("*.tmp.*"))


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_a_package_installs_and_scores(packages: Path, kind: str, small_bundle: Path, tmp_path: Path) -> None:
    """A module or a file of data that the package lacks is found in the checkout, and missed by every user."""
    (package,) = packages.glob(kind)
    root = tmp_path / "env"
    programs = installed(package, root)

    def run(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=clean(root))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    where = run(str(programs / "python"), "-c", "import slackwater; print(slackwater.__file__)")
    assert Path(where).is_relative_to(root)
    slackwater = str(programs / "slackwater")
    assert run(slackwater, "--version") == __version__
    assert run(slackwater, "tables").startswith("# Tables")
    if kind == "*.tar.gz":  # the same modules, to the byte, as was checked at the installation
        return
    write_tables(market(), tmp_path / "tables")
    run(slackwater, "score", "tables", "scores.parquet", "--bundle", str(small_bundle))
    assert pd.read_parquet(tmp_path / "scores.parquet")["p_direction"].between(0.0, 1.0).all()


def test_the_packages_hold_what_they_should_and_nothing_else(packages: Path) -> None:
    """Caught: the licence of the chart that a report embeds left behind, and data or caches taken along."""
    (wheel,) = packages.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    kept = {
        path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src/slackwater").rglob("*") if path.is_file()
    }
    kept = {name for name in kept if "__pycache__" not in name}
    assert {name for name in names if ".dist-info/" not in name} == kept
    assert any(name.endswith("lightweight-charts.LICENSE") for name in names if "/licenses/" in name)
    (archive,) = packages.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        top = {name.split("/")[1] for name in content.getnames() if "/" in name}
    assert top == {"src", "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "PKG-INFO", ".gitignore"}


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == citation["version"] == __version__
    assert citation["license"] == project["license"]
    assert f"## {__version__} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_bill_of_materials_has_every_package_of_the_lock() -> None:
    """A package that is installed and not on the bill is the one that is searched for after an incident."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    bill = bill_of_materials(lock)
    assert bill["metadata"]["component"]["version"] == __version__
    assert len(bill["components"]) == sum("==" in line and line[0].isalnum() for line in lock.splitlines()) > 150
    by_name = {each["name"]: each for each in bill["components"]}
    assert by_name["numpy"]["purl"] == f"pkg:pypi/numpy@{by_name['numpy']['version']}"
    digests = [each for part in bill["components"] for each in part["properties"] if each["name"].endswith("sha256")]
    assert len(digests) == lock.count("--hash=sha256:")
    assert len({each["bom-ref"] for each in bill["components"]}) == len(bill["components"])
    assert any(each["name"] == "slackwater:condition" for part in bill["components"] for each in part["properties"])


def test_a_line_of_the_lock_that_is_not_understood_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"line 2: expected NAME==VERSION or a digest, was 'mine @ file"):
        bill_of_materials("numpy==2.4.6 \\\nmine @ file:///tmp/mine\n")
