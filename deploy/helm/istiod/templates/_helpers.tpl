{{/* `-<revision>`, or nothing: the suffix of names, as Istio's chart has it. */}}
{{- define "istiod.suffix" -}}
{{- if .Values.revision }}-{{ .Values.revision }}{{ end }}
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
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
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
{{- if .Values.revision }}
istio.io/rev: {{ include "istiod.revision" . | quote }}
{{- else }}
istio: pilot
{{- end }}
{{- end }}

{{/* The selector of a Deployment can never change, and Istio's default revision has one label only. */}}
{{- define "istiod.deploymentSelector" -}}
{{- if .Values.revision }}
{{- include "istiod.selector" . }}
{{- else -}}
istio: pilot
{{- end }}
{{- end }}

{{/* The following answer `yes` or nothing. Whether objects of the cluster, or of the namespace, are part of this release: */}}
{{- define "istiod.ofCluster" -}}
{{- if has (.Values.global.resourceScope | default "all") (list "all" "cluster") }}yes{{ end }}
{{- end }}
{{- define "istiod.ofNamespace" -}}
{{- if has (.Values.global.resourceScope | default "all") (list "all" "namespace") }}yes{{ end }}
{{- end }}

{{/* Whether a control plane runs in this cluster, be it for injection alone, */}}
{{- define "istiod.runs" -}}
{{- if or (not .Values.istiodRemote.enabled) .Values.istiodRemote.enabledLocalInjectorIstiod }}yes{{ end }}
{{- end }}

{{/* and whether one, here or elsewhere, takes configuration from this cluster. */}}
{{- define "istiod.rules" -}}
{{- if or (include "istiod.runs" .) .Values.global.configCluster }}yes{{ end }}
{{- end }}

{{/* Mesh configuration: defaults, and what the user wants over them. */}}
{{- define "istiod.mesh" -}}
{{- $service := include "istiod.name" . }}
{{- if and .Values.global.remotePilotAddress .Values.istiodRemote.enabled .Values.istiodRemote.enabledLocalInjectorIstiod }}
{{- $service = printf "%s-remote" $service }}
{{- end }}
{{- $proxy := dict "discoveryAddress" (printf "%s.%s.svc:15012" $service .Release.Namespace) }}
{{- with .Values.global.meshID }}
{{- $_ := set $proxy "meshId" (toString .) }}
{{- end }}
{{- with .Values.global.proxy.variant | default .Values.global.variant }}
{{- $_ := set $proxy "image" (dict "imageType" .) }}
{{- end }}
{{- $tracers := .Values.global.tracer | default dict }}
{{- $tracer := .Values.global.proxy.tracer }}
{{- if eq $tracer "zipkin" }}
{{- $address := ($tracers.zipkin).address | default (printf "zipkin.%s:9411" .Values.global.istioNamespace) }}
{{- $_ := set $proxy "tracing" (dict "zipkin" (dict "address" $address)) }}
{{- else if eq $tracer "datadog" }}
{{- $_ := set $proxy "tracing" (dict "datadog" (dict "address" (($tracers.datadog).address | default "$(HOST_IP):8126"))) }}
{{- else if eq $tracer "lightstep" }}
{{- $_ := set $proxy "tracing" (dict "lightstep" (pick ($tracers.lightstep | default dict) "address" "accessToken")) }}
{{- else if eq $tracer "stackdriver" }}
{{- $_ := set $proxy "tracing" (dict "stackdriver" dict) }}
{{- end }}
{{- $mesh := dict
  "defaultConfig" $proxy
  "rootNamespace" .Values.global.istioNamespace
  "trustDomain" "cluster.local"
}}
{{- $telemetry := .Values.telemetry }}
{{- if and $telemetry.enabled ($telemetry.v2).enabled (not (.Values.meshConfig | default dict).defaultProviders) }}
{{- $metrics := list }}
{{- $providers := dict }}
{{- if (($telemetry.v2).prometheus).enabled }}{{ $metrics = append $metrics "prometheus" }}{{ end }}
{{- if (($telemetry.v2).stackdriver).enabled }}
{{- $metrics = append $metrics "stackdriver" }}
{{- $_ := set $providers "accessLogging" (list "stackdriver") }}
{{- end }}
{{- if $metrics }}
{{- $_ := set $providers "metrics" $metrics }}
{{- $_ := set $mesh "defaultProviders" $providers }}
{{- end }}
{{- end }}
{{- toYaml (mustMergeOverwrite $mesh (deepCopy (.Values.meshConfig | default dict))) }}
{{- end }}

{{/* Limits and requests without those that were set to null; the default of all components where none is left. */}}
{{- define "istiod.resources" -}}
{{- $kept := dict }}
{{- range $what := list "limits" "requests" }}
{{- range $name, $quantity := index ($.Values.resources | default dict) $what }}
{{- if $quantity }}
{{- $_ := set $kept $what (set (index $kept $what | default dict) $name $quantity) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml ($kept | default .Values.global.defaultResources | default dict) }}
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
