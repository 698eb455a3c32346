{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* Labels of every object. */}}
{{- define "nmstate.labels" -}}
app.kubernetes.io/part-of: kubernetes-nmstate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata: a dict of root, name, and if there are any namespace, labels, annotations. */}}
{{- define "nmstate.metadata" -}}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "nmstate.labels" .root | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge (dict) (default (dict) .annotations) (default (dict) .root.Values.commonAnnotations) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* An image: a dict of root and image. */}}
{{- define "nmstate.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .root.Chart.AppVersion .image.tag }}
{{- end -}}
{{- end }}

{{/* The Secret with the server's certificate; empty if the server makes it. */}}
{{- define "nmstate.tlsSecret" -}}
{{- if eq .Values.tls.type "cert-manager" -}}
nmstate-apiserver-tls
{{- else if eq .Values.tls.type "secret" -}}
{{ .Values.tls.existingSecret }}
{{- end -}}
{{- end }}

{{/* The server's name in its certificate. */}}
{{- define "nmstate.serverName" -}}
nmstate-apiserver.{{ .Release.Namespace }}.svc
{{- end }}

{{/* The server's account as the subject of a binding. */}}
{{- define "nmstate.subjects" -}}
subjects:
- kind: ServiceAccount
  name: {{ .Values.serviceAccount.name }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* Values that do not fit together. */}}
{{- define "nmstate.validate" -}}
{{- with .Values.tls -}}
{{- if and (eq .type "secret") (not (and .existingSecret .caBundle)) -}}
{{- fail "tls.type is secret: tls.existingSecret must name the Secret with the certificate, and tls.caBundle must have the CA that has signed it" -}}
{{- end -}}
{{- if and (ne .type "secret") (or .existingSecret .caBundle) -}}
{{- fail (printf "tls.existingSecret and tls.caBundle have a meaning only with tls.type secret, and it is %s" .type) -}}
{{- end -}}
{{- if and .certManager.existingIssuer.enabled (not .certManager.existingIssuer.name) -}}
{{- fail "tls.certManager.existingIssuer is enabled: tls.certManager.existingIssuer.name must name the issuer" -}}
{{- end -}}
{{- end -}}
{{- end }}
