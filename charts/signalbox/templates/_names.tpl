{{/* Lists that several templates share. */}}

{{- define "signalbox.writtenResources" -}}
agents, budgets, dataassets, domains, models, routepolicies
{{- end }}

{{- define "signalbox.writtenStatuses" -}}
{{- $found := list -}}
{{- range splitList ", " (include "signalbox.writtenResources" .) }}{{ $found = append $found (printf "%s/status" .) }}{{ end -}}
{{ join ", " $found }}
{{- end }}

{{/* Kinds without which this chart cannot work. */}}
{{- define "signalbox.kinds" -}}
Agent Budget DataAsset Domain Model RoutePolicy Fleet
{{- end }}

{{/* Secrets that the operator fills; the chart makes them empty and never touches them again. All of them, the webhook's too
where there is none: the operator looks after them together, and one that goes by a value would be lost to its release. */}}
{{- define "signalbox.filledSecrets" -}}
{{- $found := list -}}
{{- range list "signer" "control" "trust" "tokens" "webhook" }}{{ $found = append $found (printf "%s-%s" $.Release.Name .) }}{{ end -}}
{{ join " " $found }}
{{- end }}
