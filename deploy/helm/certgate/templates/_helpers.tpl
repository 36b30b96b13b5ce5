{{- define "certgate.name" -}}
{{- if contains "certgate" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-certgate" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "certgate.selector" -}}
app.kubernetes.io/name: certgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "certgate.labels" -}}
{{ include "certgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "certgate.claim" -}}
{{- .Values.persistence.existingClaim | default (include "certgate.name" .) -}}
{{- end -}}

{{- /* The labels of the pod that the gate runs in. */ -}}
{{- define "certgate.gateLabels" -}}
{{- if eq .Values.mode "sidecar" -}}
{{ toYaml .Values.prefect.podLabels }}
{{- else -}}
{{ include "certgate.selector" . }}
{{- end -}}
{{- end -}}

{{- /* What the gate's two containers have in common. */ -}}
{{- define "certgate.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: CERTGATE_SERVE_DRAIN
    value: {{ .Values.gate.drain | quote }}
  {{- if .Values.gate.passphraseSecret }}
  # Not by its file: Kubernetes lets the group read those of a Secret.
  - name: CERTGATE_PASSPHRASE
    valueFrom:
      secretKeyRef:
        name: {{ .Values.gate.passphraseSecret }}
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
        name: {{ .Values.gate.authStringSecret }}
        key: auth-string
  {{- end }}
  {{- with .Values.gate.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - name: state
    mountPath: /var/lib/certgate
  - name: tmp
    mountPath: /tmp
  {{- if .Values.gate.policyConfigMap }}
  - name: policy
    mountPath: /etc/certgate
    readOnly: true
  {{- end }}
resources: {{- toYaml .Values.gate.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}
