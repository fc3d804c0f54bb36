"""What a compiled pipeline's pods refer to is what the overlay brings."""

import pytest

# Kubernetes starts a pod without them.
_OPTIONAL = {"seglib-mlflow"}


@pytest.mark.parametrize("overlay", ["kind", "cloud"])
def test_all_that_the_steps_name_is_there(built, secrets, repository, overlay) -> None:
    from pipeline.dag.cluster_config import ClusterConfig

    manifests = built(overlay)
    given = secrets("" if overlay == "kind" else "cloud")
    needs = ClusterConfig.load(repository / "deploy/overlays" / overlay / "pods.yaml")
    sources = [("ConfigMap", manifests, source) for source in needs.config_maps]
    sources += [("Secret", given, source) for source in needs.secrets]
    for kind, place, source in sources:
        if source.optional and source.name in _OPTIONAL:
            assert not place.has(kind, source.name)
            continue
        assert set(source.environment.values()) <= set(
            place.get(kind, source.name)["data"]
        )
    assert manifests.has("PersistentVolumeClaim", needs.cache.claim)
    assert manifests.has("ServiceAccount", needs.service_account)
    assert manifests.get("ConfigMap", "seglib")["metadata"]["namespace"] == (
        needs.namespace
    )
