"""Objects as YAML for people: block style, long expressions as they are laid out; and the same as the chart's template."""

import re
from collections.abc import Iterable
from dataclasses import replace
from difflib import SequenceMatcher
from io import StringIO

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString, SingleQuotedScalarString

from donjon.admission.manifests.scalars import parse_plain
from donjon.admission.policies import cel
from donjon.admission.policies.accounts import Account
from donjon.admission.policies.all import DEFAULT_PREFIX, for_enclaves, for_the_cleanup, for_the_node_agent, to_refuse
from donjon.admission.policies.pods import MAY_ANNOTATE
from donjon.admission.policies.registration import call
from donjon.admission.policies.wiring import wire
from donjon.admission.settings import Settings, wired_by_policy, wired_by_webhook
from donjon.formats.json import Json

_SHORT = 80  # characters; what is longer, or laid out in lines, is printed as a block

# The chart's template is printed with these words, which no policy holds, where Helm is to fill something in.
_NAMESPACE, _ACCOUNT, _PROVISION, _SERVICE = "RELEASE-NAMESPACE", "NODE-SERVICE-ACCOUNT", "PROVISION-ACCOUNTS", "WEBHOOK-SERVICE"
_CLEANUP = "CLEANUP-SERVICE-ACCOUNT"
_ENCLAVES, _ENFORCED = "ENCLAVES-SERVICE", "ENFORCED-NAMESPACES"
_WIRED_BY = "WIRED-BY"
_FILLED = {
    _NAMESPACE: "{{ .Release.Namespace }}",
    _ACCOUNT: '{{ include "donjon.nodeServiceAccount" . }}',
    _CLEANUP: '{{ include "donjon.cleanupName" . }}',
    _SERVICE: '{{ include "donjon.webhookName" . }}',
    _ENCLAVES: '{{ include "donjon.enclavesName" . }}',
    _ENFORCED: "{{ toJson .Values.admission.enclaves.enforcedNamespaces }}",
    _WIRED_BY: f"""\
{{{{ if eq (include "donjon.admissionMode" .) "webhook" }}}}{wired_by_webhook("{{ .Release.Namespace }}")}\
{{{{ else }}}}{wired_by_policy(DEFAULT_PREFIX)}{{{{ end }}}}""",
    cel.strings((_PROVISION,)): '[{{ include "donjon.provisionAccounts" . }}]',
    MAY_ANNOTATE: f"{{{{ if .Values.admission.provision.byAnnotation }}}}{MAY_ANNOTATE}{{{{ end }}}}",
}
_OPEN, _CLOSE = "\u27ea", "\u27eb"  # for Helm's braces, until those of the policies themselves are escaped
_ANNOTATED = f"""\
metadata:
{_OPEN}- with .Values.admission.webhook.annotations {_CLOSE}
  annotations:
    {_OPEN}- toYaml . | nindent 4 {_CLOSE}
{_OPEN}- end {_CLOSE}
"""
_LABELS = re.compile(r"^( +)labels:\n(?:\1 +.*\n)+", re.MULTILINE)
_WRITTEN_BY = "{{- /* Printed by `donjon admission policies --helm`; tests/admission keeps it so. */ -}}\n"


def manifest(objects: Iterable[Json], *, inset: bool = False) -> str:
    """The objects as a YAML stream; with `inset`, entries of a list stand further in than its name."""
    writer = YAML()
    if inset:
        writer.indent(mapping=2, sequence=4, offset=2)
    writer.width = 1 << 16  # Lines are laid out in the expressions, not by the writer.
    writer.explicit_start = True
    stream = StringIO()
    writer.dump_all([_laid_out(entry) for entry in objects], stream)
    return stream.getvalue()


def chart_template() -> str:
    """The chart's template of all policies and of the webhook's registration; Helm fills in what depends on its values."""
    settings = Settings(wired_by=_WIRED_BY, provision_accounts=(_PROVISION,), provision_by_annotation=True)
    policies = _in_mode("policies", manifest(wire(DEFAULT_PREFIX)))
    webhook = _in_mode("webhook", manifest((call(DEFAULT_PREFIX, _NAMESPACE, _SERVICE),)).replace("metadata:\n", _ANNOTATED))
    refusing = _either(
        "if .Values.admission.refuseHostDevices",
        manifest(to_refuse(DEFAULT_PREFIX, replace(settings, refuse_host_devices=True))),
        manifest(to_refuse(DEFAULT_PREFIX, settings)),
    )
    agent, cleanup = (Account(namespace=_NAMESPACE, name=name) for name in (_ACCOUNT, _CLEANUP))
    ours = manifest((*for_the_node_agent(DEFAULT_PREFIX, agent), *for_the_cleanup(DEFAULT_PREFIX, cleanup)))
    enclaves = _if(
        "if .Values.admission.enclaves.enabled",
        manifest(for_enclaves(DEFAULT_PREFIX, _NAMESPACE, _ENCLAVES, _ENFORCED)),
    )
    pods = _if("if .Values.admission.enabled", policies + webhook + refusing + enclaves)
    return _WRITTEN_BY + _for_helm(pods + _if("if .Values.node.enabled", ours))


def _in_mode(mode: str, text: str) -> str:
    return _if(f'if eq (include "donjon.admissionMode" .) "{mode}"', text)


def _if(condition: str, text: str, otherwise: str = "") -> str:
    """The text under a condition of Helm's, in marks that `_for_helm` turns into braces."""
    if not text:
        return f"{_OPEN}- {condition.replace('if ', 'if not ', 1)} {_CLOSE}\n{otherwise}{_OPEN}- end {_CLOSE}\n"
    another = f"{_OPEN}- else {_CLOSE}\n{otherwise}" if otherwise else ""
    return f"{_OPEN}- {condition} {_CLOSE}\n{text}{another}{_OPEN}- end {_CLOSE}\n"


def _either(condition: str, text: str, otherwise: str) -> str:
    """One of two texts, which are nearly the same: only the lines that differ stand under the condition."""
    ours, others = text.splitlines(keepends=True), otherwise.splitlines(keepends=True)
    parts = SequenceMatcher(None, ours, others, autojunk=False).get_opcodes()
    return "".join(
        "".join(ours[i:j]) if same == "equal" else _if(condition, "".join(ours[i:j]), "".join(others[k:n]))
        for same, i, j, k, n in parts
    )


def _for_helm(text: str) -> str:
    escaped = text.replace("{{", '{{ "{{" }}').replace(_OPEN, "{{").replace(_CLOSE, "}}")
    labelled = _LABELS.sub(
        lambda match: f'{match[1]}labels:\n{match[1]}  {{{{- include "donjon.labels" . | nindent 4 }}}}\n', escaped
    )
    for word, filled in _FILLED.items():
        labelled = labelled.replace(word, filled)
    return labelled


def _laid_out(value: Json) -> Json:
    match value:
        case dict():
            return {_quote(key): _laid_out(inner) for key, inner in value.items()}
        case list():
            return [_laid_out(inner) for inner in value]
        case str() if (len(value) > _SHORT or "\n" in value) and _as_it_is(value):
            block: str = LiteralScalarString(value)
            return block
        case str():
            return _quote(value)
        case _:
            return value


def _as_it_is(text: str) -> bool:
    """Whether every character can stand there as it is; escapes there are only in quotation marks."""
    return all(line.isprintable() for line in text.split("\n"))


def _quote(text: str) -> str:
    """In quotation marks where kubectl would read another thing: our writer knows YAML 1.2, in which `yes` is a plain word."""
    if not _as_it_is(text):
        escaped: str = DoubleQuotedScalarString(text)
        return escaped
    if isinstance(parse_plain(text), str):
        return text
    quoted: str = SingleQuotedScalarString(text)
    return quoted
