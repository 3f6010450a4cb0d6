"""A preparation as a role of Ansible: its own modules where it has them; where it has none, the script does that step alone."""

from collections.abc import Mapping

from donjon.formats.json import Json, JsonObject
from donjon.node.preparation.steps import (
    DeviceGroup,
    Membership,
    NodeChange,
    NodeFile,
    NodePreparation,
    NodeStep,
    Packages,
    PersonalLook,
    SystemGroup,
    Then,
)

ROLE = "donjon_sgx_node"
SCRIPT = "prepare.sh"

_RESTART = f"{ROLE}_restart"
_FOR_REAL = "not ansible_check_mode"
_SYSTEMD = "ansible_facts['service_mgr'] == 'systemd'"


def role(preparation: NodePreparation) -> Mapping[str, Json]:
    """Each file's place, below the folder of a playbook, and what stands in it as YAML."""
    folder = f"roles/{ROLE}"
    tasks = [task for step in preparation.steps for task in _tasks(step)]
    return {
        "prepare.yml": [
            {"name": "Prepare nodes for Intel SGX", "hosts": "all", "become": True, "gather_subset": ["!all"], "roles": [ROLE]}
        ],
        f"{folder}/defaults/main.yml": {_RESTART: True},
        f"{folder}/meta/main.yml": _META,
        f"{folder}/tasks/main.yml": [*tasks, *map(_look, preparation.looks)],
        f"{folder}/handlers/main.yml": [handler for then in Then if then in _HANDLERS for handler in _HANDLERS[then]],
    }


_META: JsonObject = {
    "galaxy_info": {
        "role_name": ROLE,
        "namespace": "donjon",
        "author": "donjon pool prepare",
        "description": "Prepares a node for Intel SGX",
        "license": "Apache-2.0",
        "min_ansible_version": "2.14",
        "platforms": [{"name": "Debian", "versions": ["all"]}, {"name": "Ubuntu", "versions": ["all"]}],
    },
    "dependencies": [],
}


def _tasks(step: NodeStep) -> list[JsonObject]:
    """One task, where its module can tell what it would do; else a look by the script, and what is done where that says so."""
    head: JsonObject = {"name": _sentence(step.what)}
    notify: JsonObject = {} if step.then is Then.NOTHING else {"notify": f"{ROLE} {step.then}"}
    match step.change:
        case SystemGroup(group=group):
            return [{**head, "ansible.builtin.group": {"name": group, "system": True}, **notify}]
        case NodeFile(path=path, text=text, keep=keep):
            return [*_folder(path), {**head, "ansible.builtin.copy": _copy(path, text, keep=keep), **notify}]
        case change:
            return [
                _whether(step),
                {**head, **_deed(step.name, change, notify), "when": [f"{_register(step)}.rc == 1", _FOR_REAL]},
            ]


def _folder(path: str) -> list[JsonObject]:
    folder = path.rpartition("/")[0]
    module: JsonObject = {"path": folder, "state": "directory", "mode": "0755"}
    return [] if folder == "/etc" else [{"name": f"Have the folder {folder}", "ansible.builtin.file": module}]


def _copy(path: str, text: str, *, keep: bool) -> JsonObject:
    return {"dest": path, "content": text, "owner": "root", "group": "root", "mode": "0644", "backup": keep}


def _whether(step: NodeStep) -> JsonObject:
    """The script's look; in check mode it is told as a change, for modules would fail there for want of what comes before."""
    return {
        "name": f"See whether to {step.what}",
        "ansible.builtin.script": {"cmd": f"{SCRIPT} --check --only {step.name}"},
        "register": _register(step),
        "check_mode": False,
        "changed_when": ["ansible_check_mode", f"{_register(step)}.rc == 1"],
        "failed_when": f"{_register(step)}.rc not in [0, 1]",
    }


def _register(step: NodeStep) -> str:
    return f"{ROLE}_{step.name.replace('-', '_')}"


def _deed(name: str, change: NodeChange, notify: JsonObject) -> JsonObject:
    """What a module of Ansible's own does, or the script, which restarts by itself what is to be restarted."""
    match change:
        case Packages(names=names):
            return {"ansible.builtin.apt": {"name": list(names), "install_recommends": False, "update_cache": True}, **notify}
        case DeviceGroup(path=path, group=group):
            return {"ansible.builtin.file": {"path": path, "follow": True, "group": group, "mode": "0660"}, **notify}
        case Membership(user=user, group=group):
            return {"ansible.builtin.user": {"name": user, "groups": [group], "append": True}, **notify}
        case _:
            restart = f"{{{{ '' if {_RESTART} | bool else '--no-restart' }}}}"
            return {"ansible.builtin.script": {"cmd": f"{SCRIPT} --only {name} {restart}"}, "changed_when": True}


def _look(look: PersonalLook) -> JsonObject:
    codes = f" [{', '.join(look.codes)}]" if look.codes else ""
    return {"name": f"For a person: {look.what}{codes}", "ansible.builtin.debug": {"msg": look.do}}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _restart(then: Then, *services: str) -> list[JsonObject]:
    """Services that are not there are not restarted."""
    when: list[Json] = [f"{_RESTART} | bool", _SYSTEMD]
    return [
        {
            "name": f"Restart {each}",
            "listen": f"{ROLE} {then}",
            "ansible.builtin.command": {"cmd": f"systemctl try-restart {each}"},
            "changed_when": True,
            "when": when,
        }
        for each in services
    ]


def _command(then: Then, name: str, command: str, where: str) -> JsonObject:
    """Where there is such a file, without which the command means nothing."""
    module: JsonObject = {"cmd": command, "removes": where}
    return {"name": name, "listen": f"{ROLE} {then}", "ansible.builtin.command": module, "changed_when": True}


_UDEV, _ENABLE, _UPDATE = "/run/udev/control", "/usr/bin/systemctl", "/usr/sbin/update-ca-certificates"
_TRIGGER = "udevadm trigger --action=change --subsystem-match=misc --sysname-match=sgx_*"
_TRIGGER += " --sysname-match=enclave --sysname-match=provision"  # as the DCAP driver up to 1.36 calls them

_HANDLERS: Mapping[Then, list[JsonObject]] = {
    Then.UDEV: [
        _command(Then.UDEV, "Have udev read its rules", "udevadm control --reload", _UDEV),
        _command(Then.UDEV, "Have udev apply them", _TRIGGER, _UDEV),
    ],
    Then.AUTHORITIES: [
        _command(Then.AUTHORITIES, "Take up the authority", "update-ca-certificates", _UPDATE),
        *_restart(Then.AUTHORITIES, "aesmd.service"),
    ],
    Then.ENABLE: [_command(Then.ENABLE, "Enable the unit", "systemctl enable donjon-dev-exec.service", _ENABLE)],
    Then.CRIO: _restart(Then.CRIO, "crio.service"),
    Then.K3S: _restart(Then.K3S, "k3s.service", "k3s-agent.service"),
    Then.AESM: _restart(Then.AESM, "aesmd.service"),
}
