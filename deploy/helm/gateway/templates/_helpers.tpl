{{/*
From what the user set to the values that templates read: defaults, then what stands below `global`, then the user's.
Every template begins with it; after the first time there is nothing left to do.
*/}}
{{- define "gateway.values" -}}
{{- if hasKey .Values "_internal_defaults_do_not_set" }}
{{- $defaults := index .Values "_internal_defaults_do_not_set" }}
{{- $_ := unset .Values "_internal_defaults_do_not_set" }}
{{- $unused := list }}
{{- range $key, $_ := omit .Values "profile" "platform" "compatibilityVersion" "enabled" }}
{{- if not (hasKey $defaults $key) }}
{{- $unused = append $unused $key }}
{{- end }}
{{- end }}
{{- $merged := mustMergeOverwrite (deepCopy $defaults) (deepCopy (.Values.global | default dict)) (deepCopy .Values) }}
{{- range $key, $default := $defaults }}
{{- if kindIs "invalid" (index $merged $key) }}
{{- $_ := set $merged $key $default }}
{{- end }}
{{- end }}
{{- if not $merged.service.type }}
{{- $_ := set $merged.service "type" $defaults.service.type }}
{{- end }}
{{- $_ := mustMergeOverwrite .Values $merged }}
{{- $_ := set .Values "_unused" ($unused | sortAlpha) }}
{{- end }}
{{- end }}

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
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
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
