{{/* Lets values stand below `pilot` too. Every template begins with it. */}}
{{- define "istiod.flatten" -}}
{{- $_ := mustMergeOverwrite .Values (deepCopy (.Values.pilot | default dict)) }}
{{- end }}

{{/* `istiod`, `istiod-<revision>`: the suffix of names. */}}
{{- define "istiod.suffix" -}}
{{- if and .Values.revision (ne .Values.revision "default") }}-{{ .Values.revision }}{{ end }}
{{- end }}

{{- define "istiod.name" -}}
istiod{{ include "istiod.suffix" . }}
{{- end }}

{{- define "istiod.revision" -}}
{{ .Values.revision | default "default" }}
{{- end }}

{{/* What marks any object of the release. */}}
{{- define "istiod.commonLabels" -}}
release: {{ .Release.Name }}
app.kubernetes.io/name: {{ .app | default "istiod" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What marks objects that belong to one revision; tools find a revision by these. */}}
{{- define "istiod.revisionLabels" -}}
istio.io/rev: {{ include "istiod.revision" . | quote }}
install.operator.istio.io/owning-resource: {{ .Values.ownerName | default "unknown" | quote }}
operator.istio.io/component: Pilot
{{ include "istiod.commonLabels" . }}
{{- end }}

{{/* Which Pods the Service chooses; those of Istio's chart, so that an upgrade keeps them. */}}
{{- define "istiod.selector" -}}
app: istiod
{{- if include "istiod.suffix" . }}
istio.io/rev: {{ include "istiod.revision" . | quote }}
{{- else }}
istio: pilot
{{- end }}
{{- end }}

{{/* The selector of a Deployment can never change, and Istio's default revision has one label only. */}}
{{- define "istiod.deploymentSelector" -}}
{{- if include "istiod.suffix" . }}
{{- include "istiod.selector" . }}
{{- else -}}
istio: pilot
{{- end }}
{{- end }}

{{/* Whether objects of the cluster, or of the namespace, are part of this release: yes, or nothing. */}}
{{- define "istiod.ofCluster" -}}
{{- if has (.Values.global.resourceScope | default "all") (list "all" "cluster") }}yes{{ end }}
{{- end }}
{{- define "istiod.ofNamespace" -}}
{{- if has (.Values.global.resourceScope | default "all") (list "all" "namespace") }}yes{{ end }}
{{- end }}

{{/* Mesh configuration: defaults, and what the user wants over them. */}}
{{- define "istiod.mesh" -}}
{{- $address := printf "%s.%s.svc:15012" (include "istiod.name" .) .Values.global.istioNamespace }}
{{- if .Values.global.remotePilotAddress }}
{{- $address = printf "%s:15012" .Values.global.remotePilotAddress }}
{{- end }}
{{- $mesh := dict
  "defaultConfig" (dict "discoveryAddress" $address)
  "defaultProviders" (dict "metrics" (list "prometheus"))
  "enablePrometheusMerge" true
  "rootNamespace" .Values.global.istioNamespace
  "trustDomain" "cluster.local"
}}
{{- with .Values.global.meshID }}
{{- $_ := set $mesh.defaultConfig "meshId" . }}
{{- end }}
{{- toYaml (mustMergeOverwrite $mesh (deepCopy (.Values.meshConfig | default dict))) }}
{{- end }}

{{/* What a replica needs to serve: its image. */}}
{{- define "istiod.image" -}}
{{- $tag := .Values.trierarch.tag | default .Chart.AppVersion }}
{{- if or (contains "@" .Values.trierarch.image) (regexMatch ":[^/]+$" .Values.trierarch.image) }}
{{- .Values.trierarch.image }}
{{- else }}
{{- printf "%s:%s" .Values.trierarch.image $tag }}
{{- end }}
{{- end }}
