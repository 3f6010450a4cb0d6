{{/*
Names are not made from the release's: SGX on a node has one owner, so a cluster has one Donjon, and a second release is refused by
Helm for owning the same objects.
*/}}
{{- define "donjon.nodeName" -}}donjon-node{{- end }}
{{- define "donjon.nodeServiceAccount" -}}donjon-node{{- end }}
{{- define "donjon.cleanupName" -}}donjon-cleanup{{- end }}

{{- define "donjon.labels" -}}
app.kubernetes.io/name: donjon
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: donjon
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A DaemonSet's selector cannot change, so nothing here may depend on version or values. */}}
{{- define "donjon.selectorLabels" -}}
app.kubernetes.io/name: donjon
app.kubernetes.io/component: node
{{- end }}

{{/* A name that no registry answers for would leave an install waiting for its images without a word. */}}
{{- define "donjon.image" -}}
{{- $repository := required "image.repository must be said: no public registry has Donjon's image. `make image` builds it; put it into your registry and set image.repository=REGISTRY/donjon, or import it into the nodes and set image.repository=donjon.dev/donjon (docs/install.md has the commands)" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "donjon.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Whether the hooks of an uninstall are rendered. One of them bears the DaemonSet's own name, so they must not come out where the
output is applied as it is. Helm answers `lookup` only where it talks to a cluster, which is where it will also run the hooks.
*/}}
{{- define "donjon.cleanupHooks" -}}
{{- include "donjon.hooksAreRun" .Values.cleanup.hooks -}}
{{- end }}

{{- define "donjon.hooksAreRun" -}}
{{- if eq . "always" -}}
true
{{- else if eq . "auto" -}}
{{- if lookup "v1" "Namespace" "" "kube-system" -}}true{{- end -}}
{{- end -}}
{{- end }}

{{- define "donjon.webhookName" -}}donjon-webhook{{- end }}
{{- define "donjon.enclavesName" -}}donjon-enclaves{{- end }}

{{/*
What wires pods: the API server itself, where it can (MutatingAdmissionPolicy v1, Kubernetes 1.36), or the webhook. Where there is no
cluster to ask, a guess could leave every pod that asks refused, so it must be said.
*/}}
{{- define "donjon.admissionMode" -}}
{{- $mode := .Values.admission.mode -}}
{{- $can := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
{{- if ne $mode "auto" -}}
{{- if and (eq $mode "policies") (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "admission.mode is policies: Kubernetes %s has no MutatingAdmissionPolicy v1, which begins with 1.36; set admission.mode=webhook (or, rendering without a cluster, tell Helm its version: --kube-version)" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- $mode -}}
{{- else if not (lookup "v1" "Namespace" "" "kube-system") -}}
{{- fail "admission.mode is auto: there is no cluster to ask what it can do (helm template, GitOps); set admission.mode=policies for Kubernetes 1.36 or later, or admission.mode=webhook" -}}
{{- else -}}
{{- ternary "policies" "webhook" $can -}}
{{- end -}}
{{- end }}

{{- define "donjon.quoteHelperName" -}}donjon-aesmd{{- end }}

{{/* Service accounts whose pods may have the provisioning key, with commas between them. The schema lets no other comma in. */}}
{{- define "donjon.provisionAccountNames" -}}
{{- $accounts := .Values.admission.provision.accounts -}}
{{- if .Values.quoteHelper.enabled -}}
{{- $accounts = append $accounts (printf "%s:%s" .Release.Namespace (include "donjon.quoteHelperName" .)) -}}
{{- end -}}
{{- join "," $accounts -}}
{{- end }}

{{/* The same as the literals of a CEL list. The schema lets no quotation mark in. */}}
{{- define "donjon.provisionAccounts" -}}
{{- with include "donjon.provisionAccountNames" . -}}
'{{ . | replace "," "', '" }}'
{{- end -}}
{{- end }}

{{/* What of Donjon is in the API server, for the agents that look after it. */}}
{{- define "donjon.guard" -}}
{{- if .Values.admission.enabled }}{{ include "donjon.admissionMode" . }}{{ else }}accounts{{ end -}}
{{- end }}

{{- define "donjon.metricsApiName" -}}donjon-metrics{{- end }}

{{- define "donjon.attestationName" -}}donjon-attestation{{- end }}

{{/* Whether the ports of metrics are open to more than their own node: where the chart has somebody scrape them. */}}
{{- define "donjon.scraped" -}}
{{- if or .Values.metrics.service.enabled .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled }}true{{ end -}}
{{- end }}

{{- define "donjon.attestationConfinement" -}}
privileged: false
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What the attestation service and the check of its settings have in common. */}}
{{- define "donjon.attestationOptions" -}}
{{- if .Values.attestation.rehearsal }}
- --config=/var/lib/donjon/rehearsal/attestation.toml
{{- else }}
- --config=/etc/donjon/donjon.toml
- --tls-dir=/etc/donjon-tls
{{- end }}
- --listen=0.0.0.0:8443
- --probes=0.0.0.0:9810
- --log-level={{ .Values.logLevel | default "info" }}
{{- end }}

{{- define "donjon.attestationMounts" -}}
- name: config
  mountPath: /etc/donjon
  readOnly: true
- name: tls
  mountPath: /etc/donjon-tls
  readOnly: true
{{- range .Values.attestation.secrets }}
- name: secret-{{ . }}
  mountPath: /etc/donjon-secrets/{{ . }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "donjon.attestationPlace" -}}
{{- with .Values.attestation.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.attestation.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
