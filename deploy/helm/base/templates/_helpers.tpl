{{/*
From what the user set to the values that templates read: defaults, then the profile, then the user's. Every template
begins with it; after the first time there is nothing left to do.
*/}}
{{- define "base.values" -}}
{{- if hasKey .Values "_internal_defaults_do_not_set" }}
{{- $defaults := index .Values "_internal_defaults_do_not_set" }}
{{- $_ := unset .Values "_internal_defaults_do_not_set" }}
{{- $_ := set .Values "_unused" (omit .Values "base" "global" "profile" "platform" "compatibilityVersion" "enabled" "defaultRevision" "experimental" "_unused" | keys | sortAlpha) }}
{{- range $key, $_ := omit (.Values.base | default dict) "enableCRDTemplates" "excludedCRDs" "validationURL" "validationCABundle" "validationFailurePolicy" }}
{{- $_ := set $.Values "_unused" (append $.Values._unused (printf "base.%s" $key)) }}
{{- end }}
{{- $profile := dict }}
{{- if eq (coalesce .Values.profile (.Values.global | default dict).profile "" | toString) "stable" }}
{{- $profile = dict "experimental" (dict "stableValidationPolicy" true) }}
{{- end }}
{{- $merged := mustMergeOverwrite (deepCopy $defaults) $profile (deepCopy .Values) }}
{{- range $group := list "base" "experimental" "global" }}
{{- if kindIs "invalid" (index $merged $group) }}
{{- $_ := set $merged $group (index $defaults $group) }}
{{- end }}
{{- end }}
{{- $_ := mustMergeOverwrite .Values $merged }}
{{- end }}
{{- end }}

{{/* The labels of everything but the CustomResourceDefinitions. */}}
{{- define "base.labels" -}}
release: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* `yes` or nothing: whether objects of the cluster, or of the namespace, are part of this release. */}}
{{- define "base.ofCluster" -}}
{{- if has (.Values.global.resourceScope | default "all") (list "all" "cluster") }}yes{{ end }}
{{- end }}
{{- define "base.ofNamespace" -}}
{{- if has (.Values.global.resourceScope | default "all") (list "all" "namespace") }}yes{{ end }}
{{- end }}
