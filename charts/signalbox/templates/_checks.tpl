{{/* What belongs together and does not fit is refused with a sentence that says what to write instead. */}}

{{- define "signalbox.check" -}}
{{- include "signalbox.checkNames" . -}}
{{- include "signalbox.checkDefinitions" . -}}
{{- include "signalbox.checkDatabase" . -}}
{{- include "signalbox.checkReplicas" . -}}
{{- include "signalbox.checkRest" . -}}
{{- end }}

{{- define "signalbox.checkNames" -}}
{{- if gt (len .Release.Name) 40 -}}
{{- fail (printf "\n\nThe release name %q is too long: names of services and pods are made from it. Choose one of at most 40 characters." .Release.Name) -}}
{{- end -}}
{{- if contains "." .Release.Name -}}
{{- fail (printf "\n\nThe release name %q has a dot in it, and a service cannot have such a name. Choose one of letters, digits and hyphens." .Release.Name) -}}
{{- end -}}
{{- end }}

{{/* A cluster is asked for kinds (apps/v1/Deployment); `helm template` alone knows groups only, and is not refused. */}}
{{- define "signalbox.checkDefinitions" -}}
{{- if .Capabilities.APIVersions.Has "apps/v1/Deployment" -}}
{{- range splitList " " (include "signalbox.kinds" .) -}}
{{- if not ($.Capabilities.APIVersions.Has (printf "signalbox.dev/v1alpha1/%s" .)) -}}
{{- fail (printf "\n\nThe cluster does not know the kind %s. Install or upgrade the definitions first:\n\n    helm upgrade --install signalbox-crds signalbox-crds --version %s --namespace %s --create-namespace" . $.Chart.Version $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "signalbox.checkDatabase" -}}
{{- $external := .Values.externalDatabase -}}
{{- if and $external.dsn $external.existingSecret -}}
{{- fail "\n\nThe external database is given twice. Set externalDatabase.existingSecret (better: its DSN stays out of the release) or externalDatabase.dsn, not both." -}}
{{- end -}}
{{- if and .Values.postgresql.enabled (or $external.dsn $external.existingSecret) -}}
{{- fail "\n\nThere are two databases. Set postgresql.enabled=false to use the external one, or leave externalDatabase empty to use the bundled one." -}}
{{- end -}}
{{- if and $external.dsn (not (or (hasPrefix "postgresql://" $external.dsn) (hasPrefix "postgres://" $external.dsn))) -}}
{{- fail "\n\nexternalDatabase.dsn is no address of a PostgreSQL database. Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE." -}}
{{- end -}}
{{- if and .Values.postgresql.enabled (not .Values.postgresql.password) -}}
{{- fail "\n\nThe bundled PostgreSQL needs a password: a generated one would change with every rendering. Set postgresql.password, or use a database of your own with externalDatabase.existingSecret." -}}
{{- end -}}
{{- if and $external.tls.existingSecret (not (or $external.dsn $external.existingSecret)) -}}
{{- fail "\n\nexternalDatabase.tls belongs to an external database, and there is none. Set externalDatabase.existingSecret or externalDatabase.dsn." -}}
{{- end -}}
{{- if and $external.tls.clientCertificate (not $external.tls.existingSecret) -}}
{{- fail "\n\nexternalDatabase.tls.clientCertificate needs the Secret that holds tls.crt and tls.key. Set externalDatabase.tls.existingSecret." -}}
{{- end -}}
{{- end }}

{{- define "signalbox.checkReplicas" -}}
{{- $proxy := .Values.proxy -}}
{{- $stated := not (kindIs "invalid" $proxy.replicas) -}}
{{- $scales := and (kindIs "bool" $proxy.autoscaling.enabled) $proxy.autoscaling.enabled -}}
{{- if not (include "signalbox.hasFleet" .) -}}
{{- if or $scales (and $stated (gt (int $proxy.replicas) 1)) -}}
{{- $asked := ternary "A number of proxies that changes" (printf "%d proxies" (int $proxy.replicas)) (not (not $scales)) -}}
{{- fail (printf "\n\n%s cannot share a ledger in SQLite, which is a file of one pod: each would spend every budget by itself. Give the fleet a PostgreSQL database:\n\n    externalDatabase: {existingSecret: NAME}        # a Secret with the key dsn: postgresql://USER:PASSWORD@HOST/DATABASE\n\nor, for a trial, postgresql: {enabled: true, password: …}; or set proxy.replicas=1 and leave proxy.autoscaling.enabled unset." $asked) -}}
{{- end -}}
{{- if and (not $proxy.persistence.enabled) (not .Values.simulate) -}}
{{- fail "\n\nWithout a volume the ledger dies with its pod, and every budget begins anew. Leave proxy.persistence.enabled=true, or set simulate=true for a trial without a bill." -}}
{{- end -}}
{{- end -}}
{{- if and $scales $stated -}}
{{- fail "\n\nproxy.replicas and the autoscaler would both decide how many proxies there are. Leave proxy.replicas unset and set proxy.autoscaling.minReplicas and maxReplicas, or set proxy.autoscaling.enabled=false." -}}
{{- end -}}
{{- if gt (int $proxy.autoscaling.minReplicas) (int $proxy.autoscaling.maxReplicas) -}}
{{- fail (printf "\n\nproxy.autoscaling.minReplicas (%d) is above maxReplicas (%d). Raise maxReplicas or lower minReplicas." (int $proxy.autoscaling.minReplicas) (int $proxy.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if include "signalbox.autoscales" . -}}
{{- if and (kindIs "invalid" $proxy.autoscaling.cpuPercent) (not $proxy.autoscaling.metrics) -}}
{{- fail "\n\nThe autoscaler has nothing to go by. Set proxy.autoscaling.cpuPercent, or list proxy.autoscaling.metrics, or set proxy.autoscaling.enabled=false." -}}
{{- end -}}
{{- if and (not (kindIs "invalid" $proxy.autoscaling.cpuPercent)) (not (dig "requests" "cpu" "" $proxy.resources)) -}}
{{- fail "\n\nThe autoscaler measures processor time against what a proxy requests, and it requests none. Set proxy.resources.requests.cpu, or proxy.autoscaling.cpuPercent=null with metrics of your own." -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "signalbox.checkRest" -}}
{{- if and .Values.simulate .Values.credentials.existingSecret -}}
{{- fail "\n\nWith simulate=true no lane goes to a provider, and real keys have no place there. Leave credentials.existingSecret empty, or set simulate=false." -}}
{{- end -}}
{{- if and (not .Values.networkPolicy.enabled) (or .Values.networkPolicy.clients .Values.networkPolicy.scrapers .Values.networkPolicy.providers) -}}
{{- fail "\n\nnetworkPolicy.enabled=false leaves networkPolicy.clients, scrapers and providers without effect. Set networkPolicy.enabled=true, or leave those lists empty." -}}
{{- end -}}
{{- if and .Values.networkPolicy.database (not .Values.networkPolicy.providers) -}}
{{- fail "\n\nnetworkPolicy.database narrows what networkPolicy.providers leaves open, and that list is empty, so proxies may go everywhere. List networkPolicy.providers too." -}}
{{- end -}}
{{- if and .Values.test.existingSecret (not .Values.test.model) -}}
{{- fail "\n\nThe test has a key and no model to ask. Set test.model to the name of a Model that the agent may use." -}}
{{- end -}}
{{- end }}
