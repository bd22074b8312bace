{{/* The labels of everything but the CustomResourceDefinitions. */}}
{{- define "base.labels" -}}
release: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Lets values stand below `base` too. */}}
{{- define "base.flatten" -}}
{{- $_ := mustMergeOverwrite .Values (deepCopy (.Values.base | default dict)) }}
{{- end }}
