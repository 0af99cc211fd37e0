{{/* The pod of a proxy, the same on a volume with SQLite and in a fleet: the ledger's process beside the proxy.

Secrets are mounted with `items`: until the operator has filled them, a pod waits for its volumes instead of failing. */}}

{{- define "signalbox.proxyPod" -}}
metadata:
  labels:
    {{- include "signalbox.podLabels" (list . "proxy") | nindent 4 }}
    {{- with .Values.proxy.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    kubectl.kubernetes.io/default-container: proxy
    {{- with .Values.proxy.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  {{- include "signalbox.podHead" (dict "root" . "of" .Values.proxy "account" (printf "%s-proxy" .Release.Name) "token" false) | nindent 2 }}
  securityContext: {{- toYaml .Values.podSecurityContext | nindent 4 }}
  # Unready, then drained, then settled, then the ledger's process: all of it within the grace.
  terminationGracePeriodSeconds: {{ add (ceil .Values.proxy.unreadySeconds | int) (ceil .Values.proxy.drainSeconds | int) 30 }}
  {{- with include "signalbox.spread" . }}{{ . | nindent 2 }}{{ end }}
  initContainers:
    {{- include "signalbox.ledgerContainer" . | nindent 4 }}
  containers:
    {{- include "signalbox.proxyContainer" . | nindent 4 }}
  volumes:
    {{- include "signalbox.proxyVolumes" . | nindent 4 }}
{{- end }}

{{- define "signalbox.spread" -}}
{{- if not (kindIs "invalid" .Values.proxy.topologySpreadConstraints) -}}
topologySpreadConstraints: {{ toJson .Values.proxy.topologySpreadConstraints }}
{{- else if include "signalbox.hasFleet" . -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "signalbox.selector" (list $ "proxy") | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end -}}
{{- end }}

{{- define "signalbox.ledgerSocket" -}}
/run/signalbox/ledger.sock
{{- end }}

{{/* Where `signalbox` finds the ledger when somebody runs it in the pod (kubectl exec). */}}
{{- define "signalbox.commandEnvironment" -}}
- {name: SIGNALBOX_LEDGER_SOCKET, value: {{ include "signalbox.ledgerSocket" . }}}
- {name: SIGNALBOX_STATE, value: /var/lib/signalbox}
{{- end }}

{{- define "signalbox.ledgerContainer" -}}
- name: ledger
  image: {{ include "signalbox.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  restartPolicy: Always
  command: [python, -m, signalbox_ledger.authority]
  args:
    - --socket={{ include "signalbox.ledgerSocket" . }}
    {{- if include "signalbox.hasFleet" . }}
    - --postgresql
    {{- else }}
    - --db=/var/lib/signalbox/ledger.db
    {{- end }}
  env:
    {{- include "signalbox.pythonEnvironment" . | nindent 4 }}
    {{- include "signalbox.commandEnvironment" . | nindent 4 }}
    {{- if include "signalbox.hasFleet" . }}
    - name: SIGNALBOX_LEDGER_DSN
      valueFrom:
        secretKeyRef: {name: {{ include "signalbox.databaseSecret" . }}, key: {{ include "signalbox.databaseKey" . }}}
    {{- with .Values.externalDatabase.tls }}{{ if .existingSecret }}
    # What the DSN itself says about TLS comes first (libpq).
    - {name: PGSSLMODE, value: verify-full}
    - {name: PGSSLROOTCERT, value: /etc/signalbox/database/ca.crt}
    {{- if .clientCertificate }}
    - {name: PGSSLCERT, value: /etc/signalbox/database/tls.crt}
    - {name: PGSSLKEY, value: /etc/signalbox/database/tls.key}
    {{- end }}
    {{- end }}{{ end }}
    {{- end }}
  # The proxy starts when the ledger listens.
  startupProbe:
    exec:
      command: [python, -c, "import socket; socket.socket(socket.AF_UNIX).connect('{{ include "signalbox.ledgerSocket" . }}')"]
    periodSeconds: 1
    timeoutSeconds: 10
    failureThreshold: 120
  resources: {{- toYaml .Values.proxy.ledgerResources | nindent 4 }}
  securityContext: {{- include "signalbox.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: run, mountPath: /run/signalbox}
    - {name: tmp, mountPath: /tmp, subPath: ledger}
    {{- if not (include "signalbox.hasFleet" .) }}
    - {name: state, mountPath: /var/lib/signalbox}
    {{- else if .Values.externalDatabase.tls.existingSecret }}
    - {name: database, mountPath: /etc/signalbox/database, readOnly: true}
    {{- end }}
{{- end }}

{{- define "signalbox.proxyContainer" -}}
- name: proxy
  image: {{ include "signalbox.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [python, -m, signalbox_proxy]
  args:
    - --name=$(POD_NAME)
    - --fleet={{ .Release.Name }}
    - "--host={{ .Values.listen }}"
    - --port=8080
    - --control-port=8081
    - --metrics-port=9090
    - --state=/var/lib/signalbox
    - --recover
    - --authority={{ include "signalbox.ledgerSocket" . }}
    - --credentials=/etc/signalbox/credentials
    - --trust=/etc/signalbox/trust/signing-keys.pem
    - --control-ca=/etc/signalbox/trust/ca.crt
    - --control-token=/etc/signalbox/tokens/control-tokens
    - --control-certificate=/etc/signalbox/control/tls.crt
    - --control-key=/etc/signalbox/control/tls.key
    {{- if include "signalbox.hasFleet" . }}
    - --peers-of={{ .Release.Name }}-proxy-control.{{ .Release.Namespace }}.svc:8081
    {{- end }}
    - --unready-seconds={{ .Values.proxy.unreadySeconds }}
    - --drain-seconds={{ .Values.proxy.drainSeconds }}
  env:
    - name: POD_NAME
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
    {{- include "signalbox.pythonEnvironment" . | nindent 4 }}
    {{- include "signalbox.commandEnvironment" . | nindent 4 }}
    {{- with .Values.proxy.env }}{{ toYaml . | nindent 4 }}{{ end }}
  ports:
    - {name: traffic, containerPort: 8080}
    - {name: control, containerPort: 8081}
    - {name: metrics, containerPort: 9090}
  startupProbe:
    httpGet: {path: /livez, port: metrics}
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 300       # journals of an earlier container are settled first
  livenessProbe:
    httpGet: {path: /livez, port: metrics}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet: {path: /readyz, port: metrics}
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: 2
  resources: {{- toYaml .Values.proxy.resources | nindent 4 }}
  securityContext: {{- include "signalbox.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: run, mountPath: /run/signalbox}
    - {name: state, mountPath: /var/lib/signalbox}
    - {name: tmp, mountPath: /tmp, subPath: proxy}
    - {name: credentials, mountPath: /etc/signalbox/credentials, readOnly: true}
    - {name: trust, mountPath: /etc/signalbox/trust, readOnly: true}
    - {name: tokens, mountPath: /etc/signalbox/tokens, readOnly: true}
    - {name: control, mountPath: /etc/signalbox/control, readOnly: true}
{{- end }}

{{- define "signalbox.proxyVolumes" -}}
- name: run
  emptyDir: {sizeLimit: 16Mi}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- if or (include "signalbox.hasFleet" .) (not .Values.proxy.persistence.enabled) }}
- name: state
  emptyDir: {}
{{- end }}
- name: credentials
  secret: {secretName: {{ include "signalbox.credentialsSecret" . }}, defaultMode: 0440}
- name: trust
  secret:
    secretName: {{ .Release.Name }}-trust
    defaultMode: 0440
    items: [{key: signing-keys.pem, path: signing-keys.pem}, {key: ca.crt, path: ca.crt}]
- name: tokens
  secret:
    secretName: {{ .Release.Name }}-tokens
    defaultMode: 0440
    items: [{key: control-tokens, path: control-tokens}]
- name: control
  secret:
    secretName: {{ .Release.Name }}-control
    defaultMode: 0440
    items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
{{- with .Values.externalDatabase.tls }}{{ if .existingSecret }}
- name: database
  secret: {secretName: {{ .existingSecret }}, defaultMode: 0440}
{{- end }}{{ end }}
{{- end }}
