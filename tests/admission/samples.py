"""Pods for parity: those that people and others' tests write, and generated ones that mix everything that the rules look at."""

import random
from collections.abc import Iterable, Iterator

from tests.admission.pods import AKS, ALIBABA, ENCLAVE, EPC, FAQ, PROVISION, container, pod

from donjon.formats.json import Json, JsonObject

AESM_VOLUME: JsonObject = {"name": "var-run-aesmd", "hostPath": {"path": "/var/run/aesmd"}}
HOST_DEVICE: JsonObject = {"name": "d", "hostPath": {"path": "/dev/sgx/enclave"}}
AESM_MOUNT: JsonObject = {"name": "var-run-aesmd", "mountPath": "/var/run/aesmd"}
AFFINITY: JsonObject = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "agentpool", "operator": "In", "values": ["acc", "acc_second"]}]}]
        }
    }
}
"""Of the AKS samples: the node pools of confidential machines."""


def limited(limits: JsonObject, name: str = "app", /, **fields: Json) -> JsonObject:
    """A container as people write it: limits alone."""
    return container(name, resources={"limits": limits}, **fields)


def _annotated(provider: str, *containers: JsonObject, **fields: Json) -> JsonObject:
    return {**pod(*containers, annotations={QUOTE_PROVIDER: provider}), "spec": {**spec(pod(*containers)), **fields}}


def spec(made: JsonObject) -> JsonObject:
    """The spec of a pod of ours."""
    found = made["spec"]
    assert isinstance(found, dict)
    return found


EVERY_NAME: list[Json] = [{"key": name, "operator": "Exists", "effect": "NoSchedule"} for name in (EPC, FAQ, AKS, ALIBABA)]
"""The tolerations of an admitted pod, for those who copy one."""
QUOTE_PROVIDER = "sgx.intel.com/quote-provider"
MIRROR = "kubernetes.io/config.mirror"
OWN_VOLUME: JsonObject = {"name": "aesmd-socket", "emptyDir": {"medium": "Memory"}}
OWN_MOUNT: JsonObject = {"name": "aesmd-socket", "mountPath": "/var/run/aesmd"}
_ONE = limited({EPC: "1Mi"}, "test")

DEVICE_SPELLINGS = (
    "/dev/sgx",
    "/dev/sgx/",
    "/dev/sgx_provision",
    "/dev/isgx",
    "/dev/gsgx",
    "//dev/sgx_enclave",
    "/dev/./sgx_enclave",
    "/./dev//sgx//enclave",
    "/proc/1/root/dev/sgx_enclave",
    "/proc/self/root/proc/1/cwd/./dev//sgx/provision",
    "dev/sgx_enclave",
)
"""Paths of the host that name a device of SGX."""
HOLDER_SPELLINGS = ("/", "//", "/.", "/dev", "/dev/", "//dev/.", "/proc/1/root", "/proc/1/root/./dev/", "/proc/self/cwd/", "/./.")
"""Paths of the host that hold them."""
OTHER_PATHS = (
    "/dev/kvm",
    "/dev/net",
    "/devices",
    "/home/dev/sgx-samples",
    "/opt/sgx",
    "/opt/dev",
    "/proc",
    "/proc/1",
    "/proc/dev",
    "/root",
    "/usr/src/root",
    "/proc/1/rootdev",
    "/var/lib/dev/.",
    "/dev/xsgx",
    "/srv/",
)
"""Paths of the host that do neither, some of them nearly."""


def hosting(*paths: str) -> list[Json]:
    """Volumes that are those paths of the host."""
    return [{"name": f"v{index}", "hostPath": {"path": path}} for index, path in enumerate(paths)]


def _mounting(path: str, place: str) -> JsonObject:
    mounts: list[Json] = [{"name": "v0", "mountPath": place}]
    return pod(limited({EPC: "1Mi"}, volumeMounts=mounts), volumes=hosting(path))


def terms(*expressions: JsonObject) -> JsonObject:
    """A required node affinity of terms with one expression each."""
    listed: list[Json] = [{"matchExpressions": [expression]} for expression in expressions]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": listed}}}


def chosen_by(key: str, *values: str, operator: str = "In") -> JsonObject:
    """One expression of such a term."""
    return {"key": key, "operator": operator, "values": list(values)}


OS, ARCH = "kubernetes.io/os", "kubernetes.io/arch"
AFFINITIES: dict[str, JsonObject] = {
    "windows": terms(chosen_by(OS, "windows")),
    "windows-of-old": terms(chosen_by(f"beta.{OS}", "windows")),
    "windows-in-every-term": terms(chosen_by(OS, "windows"), chosen_by(f"beta.{OS}", "windows")),
    "windows-in-one-term": terms(chosen_by(OS, "windows"), chosen_by("pool", "a")),
    "windows-or-linux": terms(chosen_by(OS, "windows", "linux")),
    "not-windows": terms(chosen_by(OS, "windows", operator="NotIn")),
    "any-system": terms({"key": OS, "operator": "Exists"}),
    "linux": terms(chosen_by(OS, "linux")),
    "linux-on-amd64": terms(chosen_by(ARCH, "amd64"), chosen_by(f"beta.{ARCH}", "amd64")),
    "a-pool": terms(chosen_by("agentpool", "acc")),
    "a-pool-or-any-linux": terms(chosen_by("agentpool", "acc"), chosen_by(OS, "linux")),
    "empty": {},
    "no-node": {"nodeAffinity": {}},
    "rather-a-pool": {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "preference": {"matchExpressions": [chosen_by("agentpool", "acc")]}}
            ]
        }
    },
    "apart": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}
            ]
        }
    },
}
SELECTORS: dict[str, JsonObject] = {
    "windows": {OS: "windows"},
    "windows-of-old": {f"beta.{OS}": "windows"},
    "linux": {OS: "linux", f"beta.{ARCH}": "amd64"},
    "a-pool": {OS: "linux", "agentpool": "acc"},
}
TOLERATIONS: dict[str, JsonObject] = {
    "of-any-effect": {"key": EPC, "operator": "Exists"},
    "of-everything": {"operator": "Exists"},
    "of-everything-that-keeps-away": {"operator": "Exists", "effect": "NoSchedule"},
    "of-another-effect": {"key": EPC, "operator": "Exists", "effect": "NoExecute"},
    "of-everything-that-drives-away": {"operator": "Exists", "effect": "NoExecute"},
    "of-one-value": {"key": EPC, "operator": "Equal", "value": "true", "effect": "NoSchedule"},
    "of-no-value": {"key": EPC, "effect": "NoSchedule"},
    "of-another-key": {"key": "sgx.intel.com", "operator": "Exists"},
}
AESM_BY_HAND: dict[str, tuple[str, str]] = {
    "folder": ("/var/run/aesmd", "/var/run/aesmd"),
    "folder-with-a-slash": ("/var/run/aesmd/", "/var/run/aesmd/"),
    "folder-of-run": ("/run/aesmd", "/run/aesmd"),
    "folder-of-run-with-a-slash": ("/run/aesmd/", "/var/run/aesmd"),
    "socket": ("/run/aesmd/aesm.socket", "/var/run/aesmd/aesm.socket"),
    "all-of-run": ("/var/run", "/var/run"),
    "all-of-run-at-its-other-name": ("/run/", "/var/run/"),
    "all-of-run-elsewhere": ("/var/run", "/host/run"),
    "all-of-var": ("/var", "/var"),
    "another-folder": ("/run/aesm", "/run/aesm"),
    "another-folder-at-its-place": ("/srv/aesmd", "/var/run/aesmd"),
}
"""A path of the host and where a container that asks has it."""

_ANNOTATED_ALONE = pod(limited({}), annotations={EPC: "10Mi"})
SAMPLES: dict[str, JsonObject] = {
    **{f"device-{index}": pod(volumes=hosting(path)) for index, path in enumerate(DEVICE_SPELLINGS)},
    **{f"device-asks-{index}": _mounting(path, "/d") for index, path in enumerate(DEVICE_SPELLINGS)},
    **{f"holder-asks-{index}": _mounting(path, "/d") for index, path in enumerate(HOLDER_SPELLINGS)},
    **{f"other-asks-{index}": _mounting(path, "/d") for index, path in enumerate(OTHER_PATHS)},
    "holders": pod(volumes=hosting(*HOLDER_SPELLINGS)),
    "other-paths": pod(volumes=hosting(*OTHER_PATHS)),
    "back-steps": pod(volumes=hosting("/dev/sgx/../sgx_enclave")),
    "fifty-long-devices": pod(volumes=hosting(*["/dev/" + "./" * 1900 + "sgx"] * 50)),
    "more-nearly-devices-than-are-looked-at": pod(volumes=hosting(*[f"/srv/sgx/{index}" for index in range(51)])),
    "longer-than-any-path": pod(volumes=hosting(*["/" * 100_000 + "dev/sgx_enclave"] * 13)),
    "long-holders": _mounting("/" * 4095, "/d"),
    **{f"affinity-{name}": pod(limited({EPC: "1Mi"}), affinity=each) for name, each in AFFINITIES.items()},
    **{f"selector-{name}": pod(limited({EPC: "1Mi"}), nodeSelector=each) for name, each in SELECTORS.items()},
    **{f"tolerates-{name}": pod(limited({EPC: "1Mi"}), tolerations=[each]) for name, each in TOLERATIONS.items()},
    **{f"aesm-by-hand-{name}": _mounting(*each) for name, each in AESM_BY_HAND.items()},
    **{
        f"aesm-annotated-{name}": {**made, "metadata": {"name": "p", "annotations": {QUOTE_PROVIDER: "aesmd"}}}
        for name, made in ((name, _mounting(*each)) for name, each in AESM_BY_HAND.items())
    },
    "wired-and-tolerating-one-value": pod(
        limited({EPC: "10Mi", ENCLAVE: 1}), annotations={EPC: "10Mi"}, tolerations=[TOLERATIONS["of-one-value"]]
    ),
    "device-refused-by-hand": pod(limited({FAQ: 10, ENCLAVE: 0}), limited({EPC: "1Mi", ENCLAVE: "0"}, "b")),
    "mirror-of-nobody": pod(limited({EPC: "1Mi"}), annotations={MIRROR: "x"}, nodeName="n"),
    "privileged": pod(limited({EPC: "1Mi"}, securityContext={"privileged": True}), container("b")),
    "faq": pod(limited({FAQ: 10}), restartPolicy="Never"),
    "quickstart-of-old": pod(limited({EPC: "5Mi"}), restartPolicy="Never"),
    "oe-helloworld": pod(
        container(resources={"limits": {EPC: "10Mi"}, "requests": {EPC: "10Mi"}}, volumeMounts=[AESM_MOUNT]),
        volumes=[AESM_VOLUME],
    ),
    "oe-helloworld-with-selector": pod(
        container(resources={"limits": {AKS: 10}, "requests": {AKS: 10}}, volumeMounts=[AESM_MOUNT]),
        volumes=[AESM_VOLUME],
        affinity=AFFINITY,
    ),
    "scone-las": pod(limited({AKS: 4})),
    "spark-executor": pod(limited({ENCLAVE: 1, "cpu": "1"})),
    "ego": pod(limited({EPC: "10Mi", PROVISION: 1})),
    "enclave-cc": pod(limited({EPC: "600Mi"})),
    "gramine": pod(limited({EPC: "8000Mi", ENCLAVE: 1})),
    "occlum": pod(limited({EPC: 21474836480, ENCLAVE: 1, PROVISION: 1})),
    "marblerun": pod(
        limited({EPC: "10Mi", ENCLAVE: 1, PROVISION: 1}), tolerations=[{"key": EPC, "operator": "Exists", "effect": "NoSchedule"}]
    ),
    "ordinary": pod(limited({"cpu": "1", "memory": "64Mi"})),
    "intel-1": _annotated("", _ONE),
    "intel-2": _annotated("test", _ONE),
    "intel-3": _annotated("aesmd", _ONE, limited({EPC: "1Mi"}, "aesmd")),
    "intel-4": _annotated("aesmd", _ONE),
    "intel-5": _annotated("aesmd", *(limited({EPC: "1Mi"}, f"test{number}") for number in (1, 2, 3))),
    "intel-6": _annotated("aesmd", {**_ONE, "volumeMounts": [OWN_MOUNT]}, volumes=[OWN_VOLUME]),
    "aesm-daemons": _annotated("aesmd", limited({EPC: "1Mi"}, "aesmd")),
    "provider-is-nobody": _annotated("nobody", _ONE),
    "provider-of-lines": _annotated("no\n/etc/fake.yaml:1: admitted\x1b[31m\tbody\r", _ONE),
    "provider-in-init": pod(init=(limited({EPC: "1Mi"}, "first"),), annotations={QUOTE_PROVIDER: "first"}),
    "most-containers": _annotated("aesmd", *(limited({FAQ: 1, PROVISION: 1}, f"c{number}") for number in range(100))),
    "too-many-containers": pod(*(limited({FAQ: 1}, f"c{number}") for number in range(101))),
    "two-thousand-containers": pod(*(limited({FAQ: 1, EPC: 10, PROVISION: 1}, f"c{number}") for number in range(2000))),
    "too-many-containers-and-a-device": pod(*(limited({FAQ: 1}, f"c{number}") for number in range(101)), volumes=[HOST_DEVICE]),
    "any-number-of-containers-and-a-device": pod(*(container(f"c{number}") for number in range(101)), volumes=[HOST_DEVICE]),
    "copied-and-changed": pod(limited({EPC: "20Mi", ENCLAVE: 1}), annotations={EPC: "10Mi"}, tolerations=EVERY_NAME),
    "copied-and-put-behind-aesm": pod(
        limited({EPC: "10Mi", ENCLAVE: 1}), annotations={EPC: "10Mi"}, tolerations=EVERY_NAME, volumes=[AESM_VOLUME]
    ),
    "host-device": pod(volumes=[HOST_DEVICE]),
    "zero": pod(limited({EPC: 0})),
    "exponent": pod(limited({EPC: "1e3"})),
    "half": pod(limited({EPC: "0.5Mi"})),
    "forty-two": pod(limited({EPC: 42})),
    "beyond": pod(limited({EPC: "10Ei"})),
    "most-counted": pod(limited({EPC: "67108863Mi"}), limited({FAQ: 67108863}, "b")),
    "sum-beyond-an-int64": pod(limited({EPC: "6Ei"}), limited({EPC: "6Ei"}, "b")),
    "sum-of-plain-ones": pod(limited({FAQ: 8796093022207}), limited({EPC: "8589934591Gi", ENCLAVE: 1}, "b")),
    "largest-plain-ones": pod(*(limited({EPC: "999Gi", ENCLAVE: 1}, f"c{index}") for index in range(100))),
    "least-unlikely-one": pod(limited({EPC: "1000Gi", ENCLAVE: 1})),
    "bytes-in-mib": pod(limited({FAQ: "10Mi"}), limited({AKS: 10485760}, "b")),
    "bytes-in-mib-beside-bytes": pod(limited({FAQ: "10Mi", EPC: "10Mi"})),
    "annotated-alone": pod(limited({}), annotations={EPC: "10Mi"}),
    "annotated-and-asking-for-none": pod(limited({EPC: 0}), annotations={EPC: "10Mi"}),
    "annotated-for-kata": {**_ANNOTATED_ALONE, "spec": {**spec(_ANNOTATED_ALONE), "runtimeClassName": "kata"}},
    "devices-beyond-counting": pod(limited({EPC: "1Mi", ENCLAVE: "6Ei"}), limited({EPC: "1Mi", ENCLAVE: "6Ei"}, "b")),
    "all-devices-of-a-node": pod(limited({EPC: "4Ki", ENCLAVE: 110})),
    "two-devices": pod(limited({FAQ: 10, ENCLAVE: "2"}), limited({ENCLAVE: "2e0", PROVISION: 7}, "b")),
    "one-device-in-another-spelling": pod(limited({EPC: "1Mi", ENCLAVE: "1000m"}), limited({EPC: "1Mi", ENCLAVE: "1e0"}, "b")),
    "most-devices-and-one-more": pod(limited({ENCLAVE: 1048575}), limited({ENCLAVE: 1048576, PROVISION: 2}, "b")),
    "two-devices-beside-too-much": pod(limited({EPC: "10Ei", ENCLAVE: 2})),
    "least-uncounted": pod(limited({EPC: "64Ti"}), limited({FAQ: 67108864}, "b")),
    "hundred-tebibytes": pod(limited({EPC: "100Ti"}), limited({EPC: "100000Gi"}, "b"), limited({EPC: "1P"}, "c")),
    "large-and-odd": pod(limited({EPC: "100000000001Ki"}), limited({EPC: 100000000000001}, "b")),
    "odd": pod(limited({EPC: "68719476735Ki"}), limited({EPC: 70368744177663}, "b")),
    "both-names": pod(limited({EPC: "10Mi", FAQ: 10})),
    "init": pod(init=(limited({EPC: "1Mi"}, "first"),)),
    "stray-in-capitals": pod(limited({"sgx.intel.com/EPC": "1Mi"})),
    "strays-in-several": pod(
        limited({"intel.com/sgx_epc": 1, "example.com/sgx": 2}),
        limited({EPC: "1Mi", "sgx.intel.com/qe": 1}, "b"),
        container("c"),
        init=(limited({"intel.sgx.com/epc": 4}, "first"),),
    ),
    "stray-of-length": pod(limited({f"{'sgx.' * 40}example/{'e' * 63}": 1})),
    "letters-that-are-no-word": pod(limited({"example.com/nosgx": 1, "msgx.example/queue": 1, "example.com/SGX": 1})),
    "nobodys-but-scones": pod(limited({"sgx.k8s.io/sgx": 1}), limited({EPC: "1Mi", "sgx.k8s.io/sgx": 1}, "b")),
    "strays-in-two-thousand": pod(*(limited({"sgx.intel.com/EPC": 1}, f"c{number}") for number in range(2000))),
    "aesmd-without-epc": pod(container("aesmd"), limited({EPC: "1Mi"})),
}
"""The sample workloads of AKS, its users and Intel's, and corner cases that none of them tests."""

_AMOUNTS: tuple[Json, ...] = (
    0,
    1,
    10,
    42,
    "10",
    "1Mi",
    "10Mi",
    "512Ki",
    "0.5Mi",
    "1e3",
    "1k",
    "1Gi",
    4096,
    10485760,
    "10M",
    "1Ti",
)
_WILD: tuple[Json, ...] = (
    -1,
    "1.5",
    "100m",
    "1Pi",
    "7Ei",
    "10Ei",
    "1e400",
    "2E",
    8796093022208,
    8796093022207,
    "9223372036854775807",
)
_NAMES = (EPC, EPC, FAQ, AKS, ALIBABA, ENCLAVE, PROVISION, "cpu", "example.com/gpu")


def _each(field: str, values: Iterable[Json]) -> Iterator[tuple[JsonObject, float]]:
    return (({field: value}, 0.01) for value in values)


_SELDOM: tuple[tuple[JsonObject, float], ...] = (
    ({"nodeName": "n"}, 0.05),
    ({"os": {"name": "windows"}}, 0.03),
    ({"nodeSelector": {"kubernetes.io/os": "windows"}}, 0.02),
    ({"nodeSelector": {"a": "b"}}, 0.1),
    ({"nodeSelector": {"donjon.dev/aesm": "mine"}}, 0.05),
    ({"tolerations": [{"key": EPC, "operator": "Exists"}, {"operator": "Exists"}]}, 0.1),
    ({"volumes": [AESM_VOLUME]}, 0.1),
    ({"volumes": [{"name": "aesmd-socket", "emptyDir": {"medium": "Memory"}}]}, 0.1),
    ({"volumes": [{"name": "d", "hostPath": {"path": "/dev/sgx_enclave"}}]}, 0.05),
    *_each("volumes", (hosting(path) for path in (*DEVICE_SPELLINGS, *HOLDER_SPELLINGS))),
    *_each("affinity", AFFINITIES.values()),
    *_each("tolerations", ([toleration] for toleration in TOLERATIONS.values())),
)
"""What a generated pod may say besides, and how often."""


def collected() -> list[JsonObject]:
    """The samples, each with its name."""
    return [_named(name, made) for name, made in SAMPLES.items()]


def generated(chance: random.Random, number: int) -> list[JsonObject]:
    """That many pods, from one or two containers to a handful."""
    return [_named(f"g{index}", _pod(chance)) for index in range(number)]


def _named(name: str, made: JsonObject) -> JsonObject:
    metadata = made["metadata"]
    assert isinstance(metadata, dict)
    return {**made, "metadata": {**metadata, "name": name}}


def _pod(chance: random.Random) -> JsonObject:
    containers = [_container(chance, name) for name in chance.sample(["app", "b", "c", "aesmd"], chance.randint(1, 3))]
    inits = [_container(chance, f"i{index}", init=True) for index in range(chance.choice((0, 0, 0, 1, 3)))]
    provider = chance.choice((None, None, None, "aesmd", "aesmd", "app", "nobody", ""))
    made = pod(*containers, init=tuple(inits), annotations=None if provider is None else {QUOTE_PROVIDER: provider})
    more: JsonObject = {}
    for fields, seldom in _SELDOM:
        more |= fields if chance.random() < seldom else {}
    return {**made, "spec": {**spec(made), **more}}


def _container(chance: random.Random, name: str, *, init: bool = False) -> JsonObject:
    names = chance.sample(_NAMES, chance.choice((0, 1, 1, 1, 2, 3)))
    limits: JsonObject = {each: _amount(chance, each) for each in names}
    requests: JsonObject = {each: _amount(chance, each) for each in names if chance.random() < 0.03}
    more: JsonObject = {"restartPolicy": "Always"} if init and chance.random() < 0.4 else {}
    more |= {"env": [{"name": chance.choice(("A", "SGX_AESM_ADDR")), "value": "x"}]} if chance.random() < 0.2 else {}
    more |= {"securityContext": {"privileged": True}} if chance.random() < 0.03 else {}
    return container(name, resources={"limits": limits, "requests": requests} if requests else {"limits": limits}, **more)


def _amount(chance: random.Random, name: str) -> Json:
    if name in {ENCLAVE, PROVISION}:
        return chance.choice((0, 1, 1, 1, 3))
    if name == "cpu":
        return 1
    return chance.choice(_WILD if chance.random() < 0.08 else _AMOUNTS)
