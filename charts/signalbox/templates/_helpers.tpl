{{/* Names and labels. Everything is named after the release: the operator is told the release and finds the rest. */}}

{{- define "signalbox.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: signalbox
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: signalbox
{{- end }}

{{/* Labels that select the pods of a component: (list $ "proxy"). They can never change. */}}
{{- define "signalbox.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: signalbox
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of a component's objects: (list $ "proxy"). */}}
{{- define "signalbox.componentLabels" -}}
{{ include "signalbox.labels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of a component's pods: nothing in them changes with a release, so that only what changed is started anew. */}}
{{- define "signalbox.podLabels" -}}
{{ include "signalbox.selector" . }}
app.kubernetes.io/part-of: signalbox
{{- end }}

{{/* An image reference: (list $image $defaultTag). */}}
{{- define "signalbox.imageOf" -}}
{{- $image := index . 0 -}}
{{- $name := $image.repository -}}
{{- if $image.registry }}{{ $name = printf "%s/%s" $image.registry $image.repository }}{{ end -}}
{{- if $image.digest -}}
{{ $name }}@{{ $image.digest }}
{{- else -}}
{{ $name }}:{{ default (index . 1) $image.tag }}
{{- end -}}
{{- end }}

{{- define "signalbox.image" -}}
{{ include "signalbox.imageOf" (list .Values.image .Chart.AppVersion) }}
{{- end }}

{{/* "true" where the image is asked of whatever registry nodes ask by default, and no such image is published. */}}
{{- define "signalbox.imageIsNowhere" -}}
{{- if not (or .Values.image.registry .Values.image.digest (contains "/" .Values.image.repository)) }}true{{ end -}}
{{- end }}

{{/* "true" where a shared database makes a fleet possible. */}}
{{- define "signalbox.hasFleet" -}}
{{- $external := .Values.externalDatabase -}}
{{- if or .Values.postgresql.enabled $external.dsn $external.existingSecret }}true{{ end -}}
{{- end }}

{{- define "signalbox.databaseSecret" -}}
{{- default (printf "%s-database" .Release.Name) .Values.externalDatabase.existingSecret -}}
{{- end }}

{{- define "signalbox.databaseKey" -}}
{{- ternary .Values.externalDatabase.existingSecretKey "dsn" (not (empty .Values.externalDatabase.existingSecret)) -}}
{{- end }}

{{/* "true" where the autoscaler decides how many proxies there are. */}}
{{- define "signalbox.autoscales" -}}
{{- $enabled := .Values.proxy.autoscaling.enabled -}}
{{- if kindIs "bool" $enabled -}}
{{- if $enabled }}true{{ end -}}
{{- else if and (include "signalbox.hasFleet" .) (kindIs "invalid" .Values.proxy.replicas) -}}
true
{{- end -}}
{{- end }}

{{/* How many proxies there are where no autoscaler decides. */}}
{{- define "signalbox.replicas" -}}
{{- if not (kindIs "invalid" .Values.proxy.replicas) -}}
{{ int .Values.proxy.replicas }}
{{- else if include "signalbox.hasFleet" . -}}
{{ int .Values.proxy.autoscaling.minReplicas }}
{{- else -}}
1
{{- end -}}
{{- end }}

{{/* The Secret with the providers' keys that proxies mount. The simulator never sees real ones. */}}
{{- define "signalbox.credentialsSecret" -}}
{{- if .Values.simulate -}}
{{ .Release.Name }}-simulated-credentials
{{- else -}}
{{ default (printf "%s-credentials" .Release.Name) .Values.credentials.existingSecret }}
{{- end -}}
{{- end }}

{{/* What every container may do: nothing beyond its own work. */}}
{{- define "signalbox.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What Python needs to know in a container whose root cannot be written. */}}
{{- define "signalbox.pythonEnvironment" -}}
- {name: HOME, value: /tmp}
- {name: PYTHONDONTWRITEBYTECODE, value: "1"}
- {name: PYTHONUNBUFFERED, value: "1"}
{{- end }}

{{/* The head of a pod's spec: (dict "root" $ "of" $values "account" NAME "token" BOOL). */}}
{{- define "signalbox.podHead" -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: {{ .token }}
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .of.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .of.affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- end }}
