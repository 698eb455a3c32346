{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* metadata of a part of a hook: a dict of root, name, hook, and weight; everywhere, if it is in no namespace. */}}
{{- define "nmstate.hookMetadata" -}}
{{ include "nmstate.metadata" (dict "root" .root "name" .name "namespace" (ternary "" .root.Release.Namespace (default false .everywhere))
  "annotations" (dict "helm.sh/hook" .hook "helm.sh/hook-weight" (default "0" .weight) "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded")) }}
{{- end }}

{{- define "nmstate.hookAccount" -}}
apiVersion: v1
kind: ServiceAccount
{{ include "nmstate.hookMetadata" (merge (dict "weight" "-3") .) }}
{{- end }}

{{- define "nmstate.hookJob" -}}
{{- $values := .root.Values -}}
apiVersion: batch/v1
kind: Job
{{ include "nmstate.hookMetadata" . }}
spec:
  backoffLimit: 3
  activeDeadlineSeconds: 300
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {{ .name }}
    spec:
      serviceAccountName: {{ .name }}
      restartPolicy: Never
      enableServiceLinks: false
      {{- with $values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.podSecurityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
      - name: uninstall
        image: {{ include "nmstate.image" (dict "root" .root "image" $values.image) | quote }}
        {{- with $values.image.pullPolicy }}
        imagePullPolicy: {{ . }}
        {{- end }}
        args: [uninstall, {{ .part }}, --namespace={{ .root.Release.Namespace }}]
        {{- with $values.uninstall.resources }}
        resources:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- with $values.securityContext }}
        securityContext:
          {{- toYaml . | nindent 10 }}
        {{- end }}
{{- end }}
