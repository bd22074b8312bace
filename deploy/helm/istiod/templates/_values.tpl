{{/*
From what the user set to the values that templates read: defaults, then the profile, then the user's, then what stands
below `pilot`. Every template begins with it; after the first time there is nothing left to do. What the user set stays
as `_original`.
*/}}
{{- define "istiod.values" -}}
{{- if hasKey .Values "defaults" }}
{{- fail "a value `defaults` is set; set what is below it at the top, for instance `hub` for `defaults.hub`" }}
{{- end }}
{{- if hasKey .Values "_internal_defaults_do_not_set" }}
{{- $defaults := index .Values "_internal_defaults_do_not_set" }}
{{- $_ := unset .Values "_internal_defaults_do_not_set" }}
{{- $original := deepCopy .Values }}
{{- $profiles := .Files.Get "files/chart/profiles.yaml" | fromYaml }}
{{- $between := dict }}
{{- range $what := list "profile" "platform" }}
{{- with coalesce (index $.Values $what) (index ($.Values.global | default dict) $what) }}
{{- if not (hasKey (index $profiles $what) .) }}
{{- fail (printf "%s: %q is none of %s" $what . (keys (index $profiles $what) | sortAlpha | join ", ")) }}
{{- end }}
{{- $_ := mustMergeOverwrite $between (deepCopy (index $profiles $what . | default dict)) }}
{{- end }}
{{- end }}
{{- with .Values.compatibilityVersion | toString }}
{{- $versions := list }}
{{- $reached := dict }}
{{- range $profiles.compatibilityVersion }}
{{- $versions = append $versions .version }}
{{- if or $reached.yes (eq .version (toString $.Values.compatibilityVersion)) }}
{{- $_ := set $reached "yes" true }}
{{- $_ := mustMergeOverwrite $between (dict "env" (.env | default dict)) }}
{{- end }}
{{- end }}
{{- if not (or $reached.yes (has . (list "" "<nil>"))) }}
{{- fail (printf "compatibilityVersion: %q is none of %s" . ($versions | join ", ")) }}
{{- end }}
{{- end }}
{{- $merged := mustMergeOverwrite (deepCopy $defaults) $between (deepCopy .Values) }}
{{- $merged = mustMergeOverwrite $merged (deepCopy (.Values.pilot | default dict)) }}
{{- include "istiod.fill" (dict "values" $merged "defaults" $defaults) }}
{{- $_ := mustMergeOverwrite .Values $merged }}
{{- /* With --reuse-values over a release of Istio's chart its defaults take the place of ours, and these are missing. */}}
{{- $own := dict "image" "trierarch" "tag" "" "injectionFailurePolicy" "Fail" }}
{{- $_ := set .Values "trierarch" (mustMergeOverwrite $own (.Values.trierarch | default dict)) }}
{{- $_ := set .Values "_defaults" $defaults }}
{{- $_ := set .Values "_original" $original }}
{{- end }}
{{- end }}

{{/* Puts defaults where a whole group of values was set to null. A single value may be null, and is then absent. */}}
{{- define "istiod.fill" -}}
{{- range $key, $default := .defaults }}
{{- if and $default (kindIs "map" $default) }}
{{- $value := index $.values $key }}
{{- if kindIs "map" $value }}
{{- include "istiod.fill" (dict "values" $value "defaults" $default) }}
{{- else if kindIs "invalid" $value }}
{{- $_ := set $.values $key (deepCopy $default) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The values as other tools may read them, without what this file keeps among them. */}}
{{- define "istiod.merged" -}}
{{- omit .Values "_defaults" "_original" | toPrettyJson }}
{{- end }}

{{/* A line for each value that the user set and that has no effect: its name, and what is so instead. */}}
{{- define "istiod.notices" -}}
{{- $notices := .Files.Get "files/chart/notices.yaml" | fromYaml }}
{{- $user := .Values._original }}
{{- $own := dict "trierarch" dict "profile" "" "platform" "" "compatibilityVersion" "" "enabled" true }}
{{- $known := merge $own .Values._defaults }}
{{- $_ := set $known "global" (merge (dict "profile" "" "platform" "") .Values._defaults.global) }}
{{- include "istiod.noticesBelow" (dict "at" "" "user" (omit $user "pilot") "known" $known "notices" $notices) }}
{{- include "istiod.noticesBelow" (dict "at" "" "user" ($user.pilot | default dict) "known" $known "notices" $notices) }}
{{- if eq ((.Values.env | default dict).PILOT_ENABLE_AMBIENT | toString) "true" }}
env.PILOT_ENABLE_AMBIENT: ambient mode is not served; Pods of the mesh need sidecars
{{- end }}
{{- end }}

{{- define "istiod.noticesBelow" -}}
{{- $root := . }}
{{- $free := list "resources" "meshConfig" "pdb" "global.defaultResources" "global.proxy.resources" "global.waypoint.resources" }}
{{- range $key, $value := .user }}
{{- $path := printf "%s%s" $root.at $key }}
{{- $known := index $root.known $key }}
{{- $isMap := kindIs "map" $value }}
{{- if hasKey $root.notices $path }}
{{- if $value }}
{{ $path }}: {{ index $root.notices $path }}
{{- end }}
{{- else if not (hasKey $root.known $key) }}
{{- $below := false }}
{{- range $name, $_ := $root.notices }}
{{- if hasPrefix (printf "%s." $path) $name }}{{ $below = true }}{{ end }}
{{- end }}
{{- if and $below $isMap }}
{{- include "istiod.noticesBelow" (dict "at" (printf "%s." $path) "user" $value "known" dict "notices" $root.notices) }}
{{- else }}
{{ $path }}: not a value of this chart
{{- end }}
{{- else if and $isMap $known (kindIs "map" $known) (not (has $path $free)) }}
{{- include "istiod.noticesBelow" (dict "at" (printf "%s." $path) "user" $value "known" $known "notices" $root.notices) }}
{{- end }}
{{- end }}
{{- end }}
