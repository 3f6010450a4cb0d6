"""Objects as YAML for people: block style, long expressions as they are laid out; and the same as the chart's template."""

import re
from collections.abc import Iterable
from io import StringIO

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString, SingleQuotedScalarString

from donjon.admission.agent import Account
from donjon.admission.manifests import unquoted
from donjon.admission.policies import DEFAULT_PREFIX, for_pods, for_the_node_agent
from donjon.kube.json import Json, JsonObject

_SHORT = 80  # characters; what is longer, or laid out in lines, is printed as a block

# The chart's template is printed with these words, which no policy holds, where Helm is to fill something in.
_NAMESPACE, _ACCOUNT = "RELEASE-NAMESPACE", "NODE-SERVICE-ACCOUNT"
_FILLED = {
    _NAMESPACE: "{{ .Release.Namespace }}",
    _ACCOUNT: '{{ include "donjon.nodeServiceAccount" . }}',
}
_LABELS = re.compile(r"^( +)labels:\n(?:\1 +.*\n)+", re.MULTILINE)
_WRITTEN_BY = "{{- /* Printed by `donjon admission policies --helm`; tests/admission keeps it so. */ -}}\n"


def manifest(objects: Iterable[JsonObject]) -> str:
    """The objects as a YAML stream."""
    writer = YAML()
    writer.width = 1 << 16  # Lines are laid out in the expressions, not by the writer.
    writer.explicit_start = True
    stream = StringIO()
    writer.dump_all([_laid_out(entry) for entry in objects], stream)
    return stream.getvalue()


def chart_template() -> str:
    """The chart's template of all policies: release namespace, service account and labels are filled in by Helm."""
    account = Account(namespace=_NAMESPACE, name=_ACCOUNT)
    pods = _for_helm(manifest(for_pods(DEFAULT_PREFIX)))
    agent = (
        f"{{{{- if .Values.node.enabled }}}}\n{_for_helm(manifest(for_the_node_agent(DEFAULT_PREFIX, account)))}{{{{- end }}}}\n"
    )
    return f"{_WRITTEN_BY}{{{{- if .Values.admission.enabled }}}}\n{pods}{{{{- end }}}}\n{agent}"


def _for_helm(text: str) -> str:
    escaped = text.replace("{{", '{{ "{{" }}')
    labelled = _LABELS.sub(
        lambda found: f'{found[1]}labels:\n{found[1]}  {{{{- include "donjon.labels" . | nindent 4 }}}}\n', escaped
    )
    for word, filled in _FILLED.items():
        labelled = labelled.replace(word, filled)
    return labelled


def _laid_out(value: Json) -> Json:
    match value:
        case dict():
            return {_quoted(key): _laid_out(inner) for key, inner in value.items()}
        case list():
            return [_laid_out(inner) for inner in value]
        case str() if len(value) > _SHORT or "\n" in value:
            block: str = LiteralScalarString(value)
            return block
        case str():
            return _quoted(value)
        case _:
            return value


def _quoted(text: str) -> str:
    """In quotation marks where kubectl would read another thing: our writer knows YAML 1.2, in which `yes` is a plain word."""
    if isinstance(unquoted(text), str):
        return text
    quoted: str = SingleQuotedScalarString(text)
    return quoted
