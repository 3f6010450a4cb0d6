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

{{- define "donjon.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
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
{{- if eq .Values.cleanup.hooks "always" -}}
true
{{- else if eq .Values.cleanup.hooks "auto" -}}
{{- if lookup "v1" "Namespace" "" "kube-system" -}}true{{- end -}}
{{- end -}}
{{- end }}
