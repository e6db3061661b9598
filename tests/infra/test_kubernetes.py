"""The Kubernetes manifests, without a cluster: schemas, rights, and what must hold between them.

kubernetes-validate carries Kubernetes' own schemas, also for the pods within KubeRay's objects. Of
KubeRay's CRDs no package was found that carries them: their upper levels are checked against the
lists below, which were read off ray.io/v1 of KubeRay 1.7 (the manifests passed its full schemas,
unknown fields refused, once by hand). Nothing was applied to a cluster.
"""

import json
import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

from tests.infra.described import (
    DOCKERFILE,
    KUBERNETES,
    KUSTOMIZATIONS,
    RUNBOOK,
    containers,
    pod_templates,
    rendered,
    services,
)
from tests.infra.test_dockerfile import LOCK

VERSIONS = ("1.30", "1.37")  # of Kubernetes: the oldest still about, the newest here
OBJECTS = [(name, each) for name in KUSTOMIZATIONS for each in rendered(name)]
TEMPLATES = [(name, each, pod) for name, each in OBJECTS for pod in pod_templates(each)]
RAY = [(name, each) for name, each in OBJECTS if each["apiVersion"].startswith("ray.io")]
PLAIN = [(name, each) for name, each in OBJECTS if (name, each) not in RAY]

CLUSTER = {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
HEAD = {"rayStartParams", "template"}
WORKERS = HEAD | {"groupName", "replicas", "minReplicas", "maxReplicas"}
JOB = {
    "entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished",
    "submitterPodTemplate", "rayClusterSpec",
}  # fmt: skip


def named(value) -> str:
    return value["kind"] if isinstance(value, dict) and "kind" in value else str(value)[:20]


def clusters() -> list[dict]:
    return [each["spec"].get("rayClusterSpec", each["spec"]) for _, each in RAY]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "each"), PLAIN, ids=named)
def test_objects_follow_their_schema(name, each, version):
    kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "each", "pod"), TEMPLATES, ids=named)
def test_pods_follow_their_schema_wherever_they_stand(name, each, pod, version):
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod["spec"]},
        version,
        strict=True,
    )


def test_a_slip_in_a_pod_would_be_found():
    spec = json.loads(json.dumps(TEMPLATES[0][2]["spec"]))
    spec["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
        kubernetes_validate.validate(pod, VERSIONS[-1], strict=True)


@pytest.mark.parametrize(("name", "each"), RAY, ids=named)
def test_ray_objects_have_kuberays_fields_only(name, each):
    spec = each["spec"]
    if each["kind"] == "RayJob":
        assert set(spec) == JOB
        assert "backoffLimit" in spec and "clusterSelector" not in spec  # KubeRay refuses both
        spec = spec["rayClusterSpec"]
    assert set(spec) == CLUSTER
    assert spec["authOptions"] == {"mode": "token", "secretName": "clsp-ray"}
    assert set(spec["headGroupSpec"]) == HEAD
    for group in spec["workerGroupSpecs"]:
        assert set(group) == WORKERS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_ray_start_knows_every_parameter():
    from ray.scripts.scripts import start

    known = {option for parameter in start.params for option in parameter.opts}
    for spec in clusters():
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
            for parameter, value in group["rayStartParams"].items():
                assert f"--{parameter}" in known
                assert isinstance(value, str)  # KubeRay's map is of texts


def test_ray_is_the_version_of_the_lock():
    assert {spec["rayVersion"] for spec in clusters()} == {LOCK["ray"]}


@pytest.mark.parametrize(("name", "each", "pod"), TEMPLATES, ids=named)
def test_pods_have_no_rights_and_the_images_user(name, each, pod):
    *_, uid = re.findall(r"^USER (\d+):\d+$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    assert f"useradd --uid {uid} " in DOCKERFILE.read_text()
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert {str(security[key]) for key in ("runAsUser", "runAsGroup", "fsGroup")} == {uid}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(spec)
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert {"/tmp", "/home/clsp"} <= set(mounted)
        assert set(mounted.values()) <= {volume["name"] for volume in spec["volumes"]}
    assert not any("hostPath" in volume for volume in spec["volumes"])


@pytest.mark.parametrize(("name", "each", "pod"), TEMPLATES, ids=named)
def test_containers_ask_for_what_they_may_have(name, each, pod):
    for container in pod["spec"]["containers"]:
        asked, most = container["resources"]["requests"], container["resources"]["limits"]
        assert {"cpu", "memory"} <= set(asked) <= set(most) | {"cpu"}
        for volume in pod["spec"]["volumes"]:
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"]


def test_references_lead_somewhere():
    """Config maps, secrets and volumes are there, or the runbook says how to make them."""
    objects = {(each["kind"], each["metadata"]["name"]) for _, each in OBJECTS}
    runbook = RUNBOOK.read_text()
    for _, _, pod in TEMPLATES:
        for container in pod["spec"]["containers"]:
            for source in container.get("envFrom", []):
                if "configMapRef" in source:
                    assert ("ConfigMap", source["configMapRef"]["name"]) in objects
                else:
                    assert f"create secret generic {source['secretRef']['name']} " in runbook
            for variable in container.get("env", []):
                if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert f"create secret generic {reference['name']} " in runbook
                    assert f"--from-literal={reference['key']}=" in runbook
        for volume in pod["spec"]["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", claim["claimName"]) in objects
    assert not any(kind == "Secret" for kind, _ in objects)


def test_the_driver_finds_the_cluster_and_only_drivers_hold_the_lake():
    [cluster] = {each["metadata"]["name"] for _, each in RAY if each["kind"] == "RayCluster"}
    [driver] = {each["data"]["RAY_ADDRESS"] for _, each in OBJECTS
                if each["kind"] == "ConfigMap" and "RAY_ADDRESS" in each["data"]}  # fmt: skip
    assert driver == f"ray://{cluster}-head-svc:10001"
    holders = {
        container["name"]
        for _, _, pod in TEMPLATES
        for container in pod["spec"]["containers"]
        if any(mount["mountPath"] == "/lake" for mount in container["volumeMounts"])
    }
    assert holders == {"prefect-worker", "ray-head"}
    in_cluster = [each for _, each in RAY if each["kind"] == "RayCluster"]
    assert "/lake" not in str(in_cluster)  # its head is RayJob's alone


def test_compose_and_kubernetes_run_the_same_worker():
    [worker] = [c for n, e in OBJECTS if n == "base" for c in containers(e)
                if c["name"] == "prefect-worker"]  # fmt: skip
    assert worker["command"] == services()["prefect-worker"]["command"]


def test_with_gpus_only_the_workers_resources_and_the_image_differ():
    plain, gpu = ({(e["kind"], e["metadata"]["name"]): e for e in rendered(name)}
                  for name in ("base", "gpu"))  # fmt: skip
    assert set(plain) == set(gpu)
    differing = {key for key in plain if plain[key] != gpu[key]}
    assert differing == {("RayCluster", "clsp"), ("Deployment", "prefect-worker")}
    cluster = gpu["RayCluster", "clsp"]["spec"]
    [worker] = cluster["workerGroupSpecs"][0]["template"]["spec"]["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "nvidia" not in str(cluster["headGroupSpec"])
    assert {c["image"].rpartition(":")[2] for e in gpu.values() for c in containers(e)} == {"cuda"}


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_our_rendering_is_that_of_kustomize(name):
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("no kubectl here")
    done = subprocess.run([kubectl, "kustomize", KUBERNETES / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    key = lambda each: (each["kind"], each["metadata"]["name"])  # noqa: E731
    assert sorted(yaml.safe_load_all(done.stdout), key=key) == sorted(rendered(name), key=key)
