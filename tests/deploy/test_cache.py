"""The claim for fetched data: what hands it to the steps' pods, and checks that."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.running import command

USER = 1000


@pytest.fixture
def volume() -> Iterator[Path]:
    """The root of a new volume, which belongs to root: anybody can get there."""
    if os.geteuid():
        pytest.skip("Only root can give a folder away and act as another. sudo pytest.")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "volume"
        root.mkdir(mode=0o755)
        (root / "lost+found").mkdir(mode=0o700)
        yield root


def test_the_volume_is_handed_to_the_group_of_the_steps(built) -> None:
    from pipeline.dag.cluster_config import ClusterConfig

    needs = ClusterConfig()
    for variant in ("kind", "cloud"):
        pod = built(variant).pod("Job/seglib-cache")
        (mount,) = (m for m in pod.containers[0]["volumeMounts"] if m["name"] != "tmp")
        (volume,) = (v for v in pod.spec["volumes"] if v["name"] == mount["name"])
        assert volume["persistentVolumeClaim"] == {"claimName": needs.cache.claim}
        assert mount["mountPath"] == needs.cache.mount_path
        context = pod.spec["securityContext"]
        assert context["runAsUser"] == needs.security.run_as_user
        assert context["runAsGroup"] == needs.security.run_as_group
        assert context["fsGroup"] == needs.security.run_as_group


def test_the_job_goes_by_itself_so_that_it_can_be_applied_again(built) -> None:
    job = built("base").get("Job", "seglib-cache")["spec"]
    assert job["ttlSecondsAfterFinished"] <= 3600
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # keeps its words


def test_a_volume_that_kubelet_handed_over_can_be_written(built, volume: Path) -> None:
    _hand_over(volume)
    done = _check(built, volume)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{volume}: user {USER} of group {USER} can write\n"
    assert [path.name for path in volume.iterdir()] == ["lost+found"]


def test_one_that_still_belongs_to_root_is_told_with_what_to_do(
    built, volume: Path
) -> None:
    done = _check(built, volume)
    assert done.returncode == 1
    assert f"{volume}, of user 0 and group 0, mode 755: user {USER}" in done.stderr
    assert "cannot write" in done.stderr
    assert "Permission denied" in done.stderr, "or the disk is full, for example"
    assert "docs/cluster.md" in done.stderr


def _hand_over(root: Path) -> None:
    """As kubelet does for fsGroup (kubernetes: pkg/volume/volume_linux.go)."""
    for path in (root, *root.rglob("*")):
        os.chown(path, -1, USER)
        own = 0o2770 if path.is_dir() else 0o660
        path.chmod(path.stat().st_mode | own)


def _check(built, volume: Path) -> subprocess.CompletedProcess[str]:
    (container,) = built("base").pod("Job/seglib-cache").containers
    return subprocess.run(
        command(container, {}, {"/cache": str(volume)}),
        user=USER,
        group=USER,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
