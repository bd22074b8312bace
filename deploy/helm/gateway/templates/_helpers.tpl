{{- define "gateway.name" -}}
{{ .Values.name | default .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Label values that Gateway objects choose proxies by: `istio-ingressgateway` is `istio: ingressgateway`. */}}
{{- define "gateway.selector" -}}
{{- $labels := .Values.labels | default dict -}}
app: {{ $labels.app | default (include "gateway.name" .) | quote }}
istio: {{ $labels.istio | default (include "gateway.name" . | trimPrefix "istio-") | quote }}
{{- end }}

{{- define "gateway.labels" -}}
app.kubernetes.io/name: {{ include "gateway.name" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "gateway.selector" . }}
{{- with omit (.Values.labels | default dict) "app" "istio" }}
{{ toYaml . }}
{{- end }}
{{- with .Values.networkGateway }}
topology.istio.io/network: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "gateway.account" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "gateway.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* Name, namespace, labels and annotations of every object. */}}
{{- define "gateway.metadata" -}}
name: {{ include "gateway.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "gateway.labels" . | nindent 2 }}
{{- with .Values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
