"""What `kubectl kustomize` builds, and how its documents refer to each other."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

Document = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """The pods of one document."""

    owner: str  # kind/name
    labels: dict[str, str]
    spec: Document
    claims: frozenset[str] = frozenset()  # of a StatefulSet's own templates

    @property
    def containers(self) -> list[Document]:
        """All of them, those that end before the others start as well."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def lasting(self) -> list[Document]:
        """The containers that are meant to run for good."""
        if self.owner.startswith("Job/"):
            return []
        sidecars = [
            container
            for container in self.spec.get("initContainers", [])
            if container.get("restartPolicy") == "Always"
        ]
        return [*sidecars, *self.spec["containers"]]

    @property
    def ports(self) -> set[int | str]:
        """Numbers and names."""
        found = [p for c in self.containers for p in c.get("ports", [])]
        return {p["containerPort"] for p in found} | {p.get("name", 0) for p in found}


class Manifests:
    """The documents that one kustomization builds."""

    def __init__(self, documents: list[Document]):
        self.documents = documents

    def of(self, *kinds: str) -> list[Document]:
        return [document for document in self.documents if document["kind"] in kinds]

    def get(self, kind: str, name: str) -> Document:
        found = [d for d in self.of(kind) if d["metadata"]["name"] == name]
        assert len(found) == 1, f"{kind}/{name}: {len(found)} found"
        return found[0]

    def has(self, kind: str, name: str) -> bool:
        return any(d["metadata"]["name"] == name for d in self.of(kind))

    def pods(self) -> list[Pod]:
        pods = []
        for document in self.of("Deployment", "StatefulSet", "Job"):
            spec = document["spec"]
            claims = spec.get("volumeClaimTemplates", [])
            pods.append(
                Pod(
                    _name(document),
                    spec["template"]["metadata"]["labels"],
                    spec["template"]["spec"],
                    frozenset(claim["metadata"]["name"] for claim in claims),
                )
            )
        for document in self.of("InferenceService"):
            predictor = document["spec"]["predictor"]
            pods.append(Pod(_name(document), predictor["labels"], predictor))
        return pods

    def pod(self, owner: str) -> Pod:
        return next(pod for pod in self.pods() if pod.owner == owner)


def build(kubectl: str, folder: Any) -> Manifests:
    done = subprocess.run(
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return Manifests([d for d in yaml.safe_load_all(done.stdout) if d])


def references(pod: Pod) -> Iterator[tuple[str, str, str]]:
    """(kind, name, key) of all ConfigMaps, Secrets, claims and accounts it needs."""
    for container in pod.containers:
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {})
            for field, kind in (
                ("secretKeyRef", "Secret"),
                ("configMapKeyRef", "ConfigMap"),
            ):
                if field in source and not source[field].get("optional"):
                    yield kind, source[field]["name"], source[field]["key"]
        for source in container.get("envFrom", []):
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if field in source:
                    yield kind, source[field]["name"], ""
    for volume in pod.spec.get("volumes", []):
        if claim := volume.get("persistentVolumeClaim"):
            yield "PersistentVolumeClaim", claim["claimName"], ""
        if secret := volume.get("secret"):
            yield "Secret", secret["secretName"], ""
        if settings := volume.get("configMap"):
            yield "ConfigMap", settings["name"], ""
    if account := pod.spec.get("serviceAccountName"):
        yield "ServiceAccount", account, ""


def selects(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a label selector takes these labels."""
    exact = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in exact.items()):
        return False
    for rule in selector.get("matchExpressions", []):
        value, operator = labels.get(rule["key"]), rule["operator"]
        if operator == "Exists" and value is None:
            return False
        if operator == "In" and value not in rule["values"]:
            return False
        assert operator in ("Exists", "In"), operator
    return True


def _name(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"
