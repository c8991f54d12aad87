{{- define "ordo.image" -}}
{{- if and .Values.image.digest (not .Values.image.tag) -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* What selects the copies of a part, of a dict with `root` and `part`: a role or `migrate`. */}}
{{- define "ordo.selector" -}}
app.kubernetes.io/name: ordo
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "ordo.labels" -}}
{{ include "ordo.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
{{- end -}}

{{/* Pod Security's profile `restricted`. */}}
{{- define "ordo.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "ordo.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/*
The secrets of a part, of a dict with `root`, `part` and `config`: settings by the key of the Secret that their file comes from.
The first is the database's address, which is always there.
*/}}
{{- define "ordo.secrets" -}}
database-url-{{ .part }}: DATABASE_URL
{{- if has .part (list "sagas" "notification") }}
message-keys: ORDO_MESSAGE_KEYS
{{- end }}
{{- if and (eq .part "sagas") (eq (get .config "ORDO_PAYMENT_PROVIDER") "stripe") }}
stripe-secret-key: ORDO_STRIPE_SECRET_KEY
{{- end }}
{{- if and (eq .part "console") .root.Values.oidcClientSecret }}
oidc-client-secret: ORDO_OIDC_CLIENT_SECRET
{{- end }}
{{- end -}}

{{- define "ordo.secretFiles" -}}
{{- range $key, $setting := include "ordo.secrets" . | fromYaml }}
- name: {{ $setting }}_FILE
  value: /etc/ordo/secrets/{{ $key }}
{{- end }}
{{- end -}}

{{- define "ordo.secretsVolume" -}}
name: secrets
projected:
  # For the user alone, by its group.
  defaultMode: 0440
  sources:
    - secret:
        name: {{ .root.Values.secret }}
        items:
          {{- range $key, $setting := include "ordo.secrets" . | fromYaml }}
          - { key: {{ $key }}, path: {{ $key }} }
          {{- end }}
    # Where the address of the database says sslrootcert=/etc/ordo/secrets/database-ca.crt.
    - secret:
        name: {{ .root.Values.secret }}
        optional: true
        items:
          - { key: database-ca.crt, path: database-ca.crt }
{{- end -}}
