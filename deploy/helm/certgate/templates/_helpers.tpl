{{- define "certgate.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "certgate" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-certgate" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "certgate.selector" -}}
app.kubernetes.io/name: certgate
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "certgate.labels" -}}
{{ include "certgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "certgate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "certgate.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{- /* Where a pod of the gate or of a worker goes: .nodeSelector, .tolerations, .affinity, .priorityClassName. */ -}}
{{- define "certgate.placement" -}}
{{- range $key := tuple "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with index $ $key }}
{{ $key }}:{{ if kindIs "string" . }} {{ quote . }}{{ else }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Seconds that the gate's pod has to end: its drain, and forty for what comes before and after that. */ -}}
{{- define "certgate.grace" -}}
{{- $seconds := 40.0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" .Values.gate.drain -1 -}}
{{- $each := index (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0) (regexFind "[a-z]+" .) -}}
{{- $seconds = addf $seconds (mulf (regexFind "[0-9]+" . | float64) $each) -}}
{{- end -}}
{{- ceil $seconds | int64 -}}
{{- end -}}

{{- define "certgate.claim" -}}
{{- .Values.persistence.existingClaim | default (include "certgate.name" .) -}}
{{- end -}}

{{- /* What clients connect to, and the audience of the pods' tokens. */ -}}
{{- define "certgate.host" -}}
{{ include "certgate.name" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end -}}
{{- define "certgate.url" -}}
https://{{ include "certgate.host" . }}:{{ .Values.service.port }}
{{- end -}}

{{- /* The names in the gate's certificate. */ -}}
{{- define "certgate.names" -}}
{{- $name := include "certgate.name" . -}}
{{- concat (list (include "certgate.host" .) (printf "%s.%s" $name .Release.Namespace) $name "localhost" "127.0.0.1") .Values.gate.names | uniq | join "," -}}
{{- end -}}

{{- /* Hosts of a TLSRoute: it can't be asked for by an address. */ -}}
{{- define "certgate.hostnames" -}}
{{- $hosts := .Values.tlsRoute.hostnames -}}
{{- if not $hosts -}}
{{- range .Values.gate.names -}}
{{- if not (regexMatch "^[0-9.]+$|:" .) }}{{ $hosts = append $hosts . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if not $hosts }}{{ fail "tlsRoute: say tlsRoute.hostnames, or a DNS name in gate.names" }}{{ end -}}
{{- toYaml $hosts -}}
{{- end -}}

{{- /* enroll.issuers as JSON: this cluster, where anybody is named by it, and the others. */ -}}
{{- define "certgate.issuers" -}}
{{- $rules := list -}}
{{- range $name, $_ := .Values.workers -}}
{{- $rules = append $rules (dict "match" (dict "sub" (printf "system:serviceaccount:%s:worker-%s" $.Release.Namespace $name)) "as" (printf "worker/%s" $name)) -}}
{{- end -}}
{{- $rules = concat $rules .Values.enroll.cluster.rules -}}
{{- $issuers := .Values.enroll.issuers -}}
{{- if $rules -}}
{{- $api := "/var/run/secrets/kubernetes.io/serviceaccount" -}}
{{- $cluster := dict "name" "cluster" "issuer" .Values.enroll.cluster.issuer "audience" (include "certgate.url" .) "jwksUrl" "https://kubernetes.default.svc/openid/v1/jwks" "caFile" (printf "%s/ca.crt" $api) "tokenFile" (printf "%s/token" $api) "rules" $rules -}}
{{- $issuers = prepend $issuers $cluster -}}
{{- end -}}
{{- if $issuers }}{{ $issuers | toJson }}{{ end -}}
{{- end -}}

{{- /* Where kubectl exec finds the gate. */ -}}
{{- define "certgate.pod" -}}
{{- if eq .Values.mode "sidecar" -}}deploy/prefect-server{{- else -}}statefulset/{{ include "certgate.name" . }}{{- end -}}
{{- end -}}

{{- /* The labels of the pod that the gate runs in. */ -}}
{{- define "certgate.gateLabels" -}}
{{- if eq .Values.mode "sidecar" -}}
{{ toYaml .Values.prefect.podLabels }}
{{- else -}}
{{ include "certgate.selector" . }}
{{- end -}}
{{- end -}}

{{- /* The labels of Prefect's pods, as kubectl takes them. */ -}}
{{- define "certgate.prefectPods" -}}
{{- $labels := list -}}
{{- range $name, $value := .Values.prefect.podLabels }}{{ $labels = append $labels (printf "%s=%s" $name $value) }}{{ end -}}
{{- $labels | join "," -}}
{{- end -}}

{{- define "certgate.workersSelector" -}}
app.kubernetes.io/name: prefect-worker
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}
{{- define "certgate.workerSelector" -}}
app.kubernetes.io/name: prefect-worker
app.kubernetes.io/instance: {{ .release | quote }}
app.kubernetes.io/component: worker-{{ .worker }}
{{- end -}}

{{- /* What the gate's two containers have in common. */ -}}
{{- define "certgate.container" -}}
image: {{ include "certgate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef:
      name: {{ include "certgate.name" . | quote }}
{{- if or .Values.gate.passphraseSecret .Values.gate.policyConfigMap .Values.gate.authStringSecret .Values.gate.env }}
env:
  {{- if .Values.gate.passphraseSecret }}
  # Not by its file: Kubernetes lets the group read those of a Secret.
  - name: CERTGATE_PASSPHRASE
    valueFrom:
      secretKeyRef:
        name: {{ .Values.gate.passphraseSecret | quote }}
        key: passphrase
  {{- end }}
  {{- if .Values.gate.policyConfigMap }}
  - name: CERTGATE_SERVE_POLICY
    value: /etc/certgate/policy.yaml
  {{- end }}
  {{- if .Values.gate.authStringSecret }}
  - name: CERTGATE_SERVE_AUTH_STRING
    valueFrom:
      secretKeyRef:
        name: {{ .Values.gate.authStringSecret | quote }}
        key: auth-string
  {{- end }}
  {{- with .Values.gate.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
volumeMounts:
  - name: state
    mountPath: /var/lib/certgate
  - name: cluster
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  - name: tmp
    mountPath: /tmp
  {{- if .Values.gate.policyConfigMap }}
  - name: policy
    mountPath: /etc/certgate
    readOnly: true
  {{- end }}
  {{- with .Values.gate.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources: {{- toYaml .Values.gate.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* How a probe learns whether the gate answers. */}}
{{- define "certgate.live" -}}
{{- if .Values.metrics.enabled -}}
httpGet:
  path: /livez
  port: metrics
{{- else -}}
exec:
  command: [certgate, health, --live]
{{- end }}
{{- end }}

{{/* How a probe learns whether a worker's sidecar answers, or, without a port for it, that it listens. */}}
{{- define "certgate.sidecarLive" -}}
{{- if .Values.metrics.enabled -}}
httpGet:
  path: /livez
  port: metrics
{{- else -}}
exec:
  command: [bash, -c, "exec 3<>/dev/tcp/127.0.0.1/4210"]
{{- end }}
{{- end }}

{{/* Of a PodMonitor. */}}
{{- define "certgate.monitorLabels" -}}
{{ include "certgate.labels" . }}
{{- with .Values.metrics.podMonitor.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Of a NetworkPolicy: who may ask what monitors ask. */}}
{{- define "certgate.monitors" -}}
- ports:
    - port: {{ .Values.metrics.port }}
      protocol: TCP
  {{- with .Values.metrics.from }}
  from: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
